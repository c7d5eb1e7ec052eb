// The core in an interpreter: the one of the WebAssembly Binary Toolkit (libwabt.a of Debian's package wabt).
#include "engine.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "wabt/binary-reader.h"
#include "wabt/error-formatter.h"
#include "wabt/interp/binary-reader-interp.h"
#include "wabt/interp/interp.h"

using namespace wabt::interp;

namespace {

constexpr uint64_t kPageBytes = 65536;

Store store;
Memory::Ptr memory;
Instance::Ptr instance;

enum Call {
#define NUMBER(result, name, parameters, arguments) k_##name,
	VLANE_CALLS(NUMBER)
	kCalls
};
const char *const kNames[] = {
#define NAME(result, name, parameters, arguments) #name,
	VLANE_CALLS(NAME)
};
Func::Ptr functions[kCalls];

std::vector<uint8_t> readAll(const char *file)
{
	std::vector<uint8_t> bytes;
	FILE *stream = fopen(file, "rb");
	if (!stream) return bytes;
	for (int c = fgetc(stream); c != EOF; c = fgetc(stream)) bytes.push_back(static_cast<uint8_t>(c));
	fclose(stream);
	return bytes;
}

bool fail(const char *file, const char *what)
{
	fprintf(stderr, "core %s: %s\n", file, what);
	return false;
}

template <typename... Arguments> uint32_t call(Call number, Arguments... arguments)
{
	Values parameters{Value::Make(arguments)...};
	Values results;
	Trap::Ptr trap;
	if (Failed(functions[number]->Call(store, parameters, results, &trap))) {
		fprintf(stderr, "core: trap in %s: %s\n", kNames[number], trap->message().c_str());
		abort();
	}
	return results.empty() ? 0 : results[0].Get<uint32_t>();
}

}  // namespace

int engine_open(const char *file)
{
	const std::vector<uint8_t> bytes = readAll(file);
	if (bytes.empty()) return fail(file, "can not be read");
	wabt::Errors errors;
	ModuleDesc description;
	const wabt::ReadBinaryOptions options;
	if (Failed(ReadBinaryInterp(file, bytes.data(), bytes.size(), options, &errors, &description)))
		return fail(file, errors.empty() ? "is no module" : errors[0].message.c_str());
	const Module::Ptr module = Module::New(store, description);
	memory = Memory::New(store, MemoryType{wabt::Limits{1, kPageBytes}});
	Trap::Ptr trap;
	instance = Instance::Instantiate(store, module.ref(), {memory.ref()}, &trap);
	if (!instance) return fail(file, trap->message().c_str());
	for (size_t i = 0; i < module->export_types().size(); i++) {
		for (int number = 0; number < kCalls; number++) {
			if (module->export_types()[i].name != kNames[number]) continue;
			functions[number] = store.UnsafeGet<Func>(instance->exports()[i]);
		}
	}
	for (int number = 0; number < kCalls; number++)
		if (!functions[number]) return fail(file, "has another interface: rebuild it");
	return true;
}

int engine_grow(uint32_t bytes)
{
	const uint64_t pages = (bytes + kPageBytes - 1) / kPageBytes;
	const uint64_t held = memory->ByteSize() / kPageBytes;
	return pages <= held || Succeeded(memory->Grow(pages - held));
}

uint8_t *engine_memory(void)
{
	return memory->UnsafeData();
}

#define REST(...) , ##__VA_ARGS__
#define GLUE(result, name, parameters, arguments) \
	result vlane_##name parameters { return static_cast<result>(call(k_##name REST arguments)); }
VLANE_CALLS(GLUE)
