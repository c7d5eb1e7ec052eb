/** The part of the WebAssembly JavaScript interface that is used here; Node's types leave it to the DOM's. */
declare namespace WebAssembly {
	class Module {
		constructor(bytes: Uint8Array);
		static imports(module: Module): { module: string; name: string; kind: string }[];
		static exports(module: Module): { name: string; kind: string }[];
	}
	function compile(bytes: Uint8Array): Promise<Module>;
	class Memory {
		constructor(descriptor: { initial: number; maximum: number; shared: true });
		readonly buffer: SharedArrayBuffer;
	}
}
