/** All that is compared, vlane first. */
import type { Peer } from "../wire.js";
import { KERNEL_PEERS } from "./kernel.js";
import { OVS_PEERS } from "./ovs.js";
import { TAP_PEERS } from "./taps.js";
import { VLANE_PEERS } from "./vlane.js";

export const PEERS: Peer[] = [...VLANE_PEERS, ...OVS_PEERS, ...TAP_PEERS, ...KERNEL_PEERS];
