/**
 * The head of a qcow2 image, as far as the catalog must know it (QEMU's docs/interop/qcow2.txt). Everything here comes
 * from whoever uploads.
 */
import { Problem } from "../../daemon/problem.ts";

/** First bytes of a file that are enough for `qcow2HeaderFrom`. */
export const headBytes = 112;

const magic = Buffer.from("QFI\xfb", "latin1");
/** Size of the version 2 header; version 3 has at least `version3Bytes`. */
const version2Bytes = 72;
const version3Bytes = 104;
/** Cluster sizes that QEMU opens: 512 bytes to 2 MiB. */
const clusterBitsMin = 9;
const clusterBitsMax = 21;
/** QEMU's bound on the active L1 table (QCOW_MAX_L1_SIZE), in bytes. */
const l1BytesMax = 32 * 1024 * 1024;
/** Incompatible feature: the guest's data is in another file. */
const externalDataBit = 1n << 2n;
/** Incompatible features that the specification names: dirty, corrupt, external data, compression type, extended L2. */
const knownIncompatible = 0b11111n;

export interface Qcow2Header {
  version: 2 | 3;
  /** Size of the disk that a guest sees. */
  virtualSizeBytes: number;
  clusterBytes: number;
}

/**
 * Reads a qcow2 header from a file's first bytes; undefined if they are no qcow2.
 *
 * @throws Problem "invalid" if they are a qcow2 that no node could boot: damaged, or needing another file.
 */
export function qcow2HeaderFrom(head: Uint8Array): Qcow2Header | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.length < magic.length || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  if (bytes.length < version2Bytes) throw damaged("it ends within its header");
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) {
    throw new Problem("invalid", `this is a qcow2 of version ${version}; convert it with qemu-img convert -O qcow2`);
  }
  if (version === 3) checkVersion3(bytes);
  if (bytes.readBigUInt64BE(8) !== 0n || bytes.readUInt32BE(16) !== 0) {
    throw new Problem(
      "invalid",
      "this qcow2 has a backing file, which nodes would not have; flatten it with qemu-img convert -O qcow2 first",
    );
  }
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < clusterBitsMin || clusterBits > clusterBitsMax) throw damaged(`2^${clusterBits} bytes a cluster`);
  const virtualSizeBytes = bytes.readBigUInt64BE(24);
  if (virtualSizeBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`a disk of ${virtualSizeBytes} bytes`);
  const l1Bytes = bytes.readUInt32BE(36) * 8;
  if (l1Bytes > l1BytesMax) throw damaged(`an L1 table of ${l1Bytes} bytes`);
  return { version, virtualSizeBytes: Number(virtualSizeBytes), clusterBytes: 2 ** clusterBits };
}

function checkVersion3(bytes: Buffer): void {
  if (bytes.length < version3Bytes) throw damaged("it ends within its header");
  const headerBytes = bytes.readUInt32BE(100);
  if (headerBytes < version3Bytes) throw damaged(`a header of ${headerBytes} bytes`);
  const incompatible = bytes.readBigUInt64BE(72);
  if ((incompatible & externalDataBit) !== 0n) {
    throw new Problem(
      "invalid",
      "this qcow2 keeps its data in another file, which nodes would not have; use qemu-img convert -O qcow2 first",
    );
  }
  if ((incompatible & ~knownIncompatible) !== 0n) {
    throw new Problem("invalid", `this qcow2 needs features that are not known (0x${incompatible.toString(16)})`);
  }
}

function damaged(what: string): Problem {
  return new Problem("invalid", `this qcow2 is damaged (${what}); check it with qemu-img check`);
}
