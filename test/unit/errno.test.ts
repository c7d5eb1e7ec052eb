import { constants } from "node:os";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { errnoName, errnoNumber, errnoText, isErrno, SysError } from "../../src/sys/errno.js";
import { check, close, open } from "../../src/sys/libc.js";

const errno = suite("errno");

errno("names agree with Node's numbers", () => {
	const shared = Object.entries(constants.errno).filter(([name]) => errnoNumber(name) !== undefined);
	assert.ok(shared.length > 50);
	for (const [name, number] of shared) {
		assert.is(errnoNumber(name), number, name);
	}
	assert.is(errnoName(1), "EPERM");
	assert.is(errnoText(17), "file exists");
});

errno("unknown numbers stay readable", () => {
	assert.is(new SysError("call", "", 4095).message, "call: errno 4095 (unknown error)");
});

errno("a message says the call, the object, the name, the text and the hint", () => {
	const error = new SysError("TUNSETIFF", "eth0.50", 1, "needs CAP_NET_ADMIN");
	assert.is(error.message, 'TUNSETIFF on "eth0.50": EPERM (operation not permitted); needs CAP_NET_ADMIN');
	assert.is(error.call, "TUNSETIFF");
	assert.is(error.object, "eth0.50");
	assert.is(error.errno, 1);
	assert.is(error.errnoName, "EPERM");
	assert.is(new SysError("unshare", "", 22).message, "unshare: EINVAL (invalid argument)");
});

errno("failed calls throw with the thread's errno, others pass through", () => {
	assert.is(check(7, "call"), 7);
	const message = 'open on "/nowhere/at/all": ENOENT (no such file or directory)';
	assert.throws(
		() => open("/nowhere/at/all", 0),
		(error: unknown) => isErrno(error, "EPERM", "ENOENT") && error.message === message,
	);
	assert.throws(
		() => close(1 << 20),
		(error: unknown) => isErrno(error, "EBADF"),
	);
	assert.not(isErrno(new Error("other"), "EBADF"));
});

errno.run();
