/**
 * The Internet checksum (RFC 1071): the one's complement sum of 16-bit words.
 *
 * Sums are made of little-endian loads and stored with little-endian stores: the byte order cancels out (RFC 1071,
 * section 2 (B)). They are kept in 64 bits, unfolded, so that parts can be added up.
 */
import { sumBlocks } from "./features";

/** Sum of `bytes` bytes at `address`, not folded. An odd last byte counts as if a zero followed. */
export function sum(address: usize, bytes: u32): u64 {
  const blocks = bytes & ~15;
  let total = sumBlocks(address, blocks);
  let at = address + blocks;
  const end = address + bytes;
  for (; at + 4 <= end; at += 4) total += load<u32>(at);
  if (at + 2 <= end) {
    total += load<u16>(at);
    at += 2;
  }
  if (at < end) total += load<u8>(at);
  return total;
}

/** A sum in 16 bits. 0xffff when everything, its own checksum included, was right. */
// @ts-ignore: decorator
@inline
export function fold(total: u64): u32 {
  total = (total & 0xffffffff) + (total >> 32);
  total = (total & 0xffffffff) + (total >> 32);
  let folded = <u32>(total & 0xffff) + <u32>(total >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  return (folded & 0xffff) + (folded >> 16);
}

/**
 * Sum of the pseudo header of TCP and UDP: RFC 9293 3.1 and RFC 768 over IPv4, RFC 8200 8.1 over IPv6. `ip` is the IP
 * header, `bytes` the length of layer 4 with its header.
 */
export function pseudoSum(ip: usize, isIpv6: bool, protocol: u32, bytes: u32): u64 {
  const tail = <u64>bswap<u16>(<u16>bytes) + <u64>(protocol << 8);
  return isIpv6 ? tail + sum(ip + 8, 32) : tail + load<u32>(ip, 12) + load<u32>(ip, 16);
}

/** Computes the checksum of an IPv4 header of 20 to 60 bytes, in place. */
export function finishIpv4(ip: usize): void {
  store<u16>(ip, 0, 10);
  store<u16>(ip, ~fold(sum(ip, (<u32>load<u8>(ip) & 15) << 2)), 10);
}
