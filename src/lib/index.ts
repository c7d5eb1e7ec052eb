/** The package's entry: `import { createSwitch } from "vlane"`. Documented in docs/library.md. */
export type { ForwardingMode, PortSecurity, PortStats, VlanTag } from "../host/types.js";
export { type CapturedFrame, CaptureError } from "../pcap/format.js";
export { readCapture } from "../pcap/read.js";
export { type CaptureFormat, CaptureWriter } from "../pcap/write.js";
export { SysError } from "../sys/errno.js";
export { MemoryPort, Port, Segment } from "./handles.js";
export { FRAME_BYTES_MAX } from "./movers.js";
export type {
	FdPortOptions,
	MemoryPortOptions,
	PcapPortOptions,
	PortOptions,
	RawPortOptions,
	SegmentOptions,
	SwitchOptions,
	TapPortOptions,
} from "./options.js";
export { createSwitch, Switch } from "./switch.js";
