/** ut_pex messages (BEP 11): whom the sender is connected to, as changes since its last message. Pure. */
import bencode from "bencode";
import { type BencodeValue, decodeBencode, isDictionary } from "./bencode.ts";
import { type AddressFamily, familyOf, packEndpoints, unpackEndpoints } from "./compact-address.ts";
import { pexEntriesMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

/** What added.f says of a peer. */
export const pexFlags = { seed: 0x02, outgoing: 0x10 } as const;

export interface PexPeer extends Endpoint {
  /** Bits of `pexFlags` and of others that mean nothing to us. */
  flags: number;
}

export interface PexMessage {
  added: PexPeer[];
  dropped: Endpoint[];
}

/** Values of a message: its fields, with room for those of other clients. */
const valuesMax = 64;

/** Host names are left out: the format has addresses only. */
export function encodePexMessage({ added, dropped }: PexMessage): Uint8Array {
  const fields: Record<string, Uint8Array> = {};
  for (const [family, suffix] of families) {
    const newcomers = added.filter((peer) => familyOf(peer) === family);
    const leavers = dropped.filter((peer) => familyOf(peer) === family);
    fields[`added${suffix}`] = packEndpoints(newcomers, family);
    fields[`added${suffix}.f`] = Buffer.from(newcomers.map(({ flags }) => flags));
    fields[`dropped${suffix}`] = packEndpoints(leavers, family);
  }
  return bencode.encode(fields);
}

/**
 * At most `pexEntriesMax` of each list and family; what is beyond is left out.
 *
 * @throws Error if it is no bencoded dictionary, or a list has an impossible length.
 */
export function pexMessageFrom(payload: Uint8Array): PexMessage {
  const fields = decodeBencode(payload, { valuesMax });
  if (!isDictionary(fields)) throw new Error("a ut_pex message is no dictionary");
  const message: PexMessage = { added: [], dropped: [] };
  for (const [family, suffix] of families) {
    const flags = fields[`added${suffix}.f`];
    const flagsOf = (number: number) => (flags instanceof Uint8Array ? (flags[number] ?? 0) : 0);
    const added = listOf(fields[`added${suffix}`], family);
    message.added.push(...added.map((endpoint, number) => ({ ...endpoint, flags: flagsOf(number) })));
    message.dropped.push(...listOf(fields[`dropped${suffix}`], family));
  }
  return message;
}

const families: readonly (readonly [AddressFamily, string])[] = [
  ["ipv4", ""],
  ["ipv6", "6"],
];

function listOf(packed: BencodeValue | undefined, family: AddressFamily): Endpoint[] {
  if (!(packed instanceof Uint8Array)) return [];
  return unpackEndpoints(packed, family, pexEntriesMax);
}
