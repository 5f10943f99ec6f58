/**
 * The checksum of all that a node holds, as proto/bootswarm/seeder/v1/inventory.proto defines it. A sum, so that one
 * holding's change costs one holding's hash, in no order.
 */
import { hash } from "node:crypto";

export interface HashedHolding {
  digest: string;
  allocatedBytes: number | bigint;
  pinned: boolean;
  /** Milliseconds since 1970; undefined if it was never asked for. */
  lastUsedAtMs: number | undefined;
}

/** One holding's part in the sum. */
export function holdingHash({ digest, allocatedBytes, pinned, lastUsedAtMs }: HashedHolding): bigint {
  const text = `${digest} ${allocatedBytes} ${pinned ? 1 : 0} ${lastUsedAtMs ?? "-"}`;
  return hash("sha256", text, "buffer").readBigUInt64BE(0);
}

/** The sum with one part more. */
export function withHash(checksum: bigint, part: bigint): bigint {
  return BigInt.asUintN(64, checksum + part);
}

/** The sum with one part less. */
export function withoutHash(checksum: bigint, part: bigint): bigint {
  return BigInt.asUintN(64, checksum - part);
}

/** The checksum of these holdings. */
export function holdingsChecksum(holdings: Iterable<HashedHolding>): bigint {
  let checksum = 0n;
  for (const holding of holdings) checksum = withHash(checksum, holdingHash(holding));
  return checksum;
}
