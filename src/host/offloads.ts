/** What kernels can be given in one piece. */
import { release } from "node:os";
import { OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../../assembly/abi.js";

/** Linux 6.2 is the first whose TAP devices and packet sockets know VIRTIO_NET_HDR_GSO_UDP_L4. */
const USO_SINCE = [6, 2] as const;

/** Frames (OFFLOAD_*) that this kernel takes from a switch: no call tells without a device. */
export function coalescible(kernel = release()): number {
	const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
	const hasUso = major > USO_SINCE[0] || (major === USO_SINCE[0] && minor >= USO_SINCE[1]);
	return OFFLOAD_TSO4 | OFFLOAD_TSO6 | (hasUso ? OFFLOAD_USO : 0);
}
