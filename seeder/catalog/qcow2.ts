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
/** QEMU's bound on the refcount table (QCOW_MAX_REFTABLE_SIZE), in bytes. */
const refcountTableBytesMax = 8 * 1024 * 1024;
/** Incompatible feature: the guest's data is in another file. */
const externalDataBit = 1n << 2n;
/** Incompatible feature: entries of L2 tables have 16 bytes, not 8. */
const extendedL2Bit = 1n << 4n;
/** Incompatible features that the specification names: dirty, corrupt, external data, compression type, extended L2. */
const knownIncompatible = 0b11111n;

export interface Qcow2Header {
  version: 2 | 3;
  /** Size of the disk that a guest sees. */
  virtualSizeBytes: number;
  clusterBytes: number;
  /** A file shorter than this lacks tables that the header points to, without which QEMU opens nothing. */
  fileBytesMin: number;
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
  const clusterBytes = 2 ** clusterBits;
  const virtualSizeBytes = bytes.readBigUInt64BE(24);
  if (virtualSizeBytes === 0n)
    throw new Problem("invalid", "this qcow2 is a disk of 0 bytes, which nothing boots from");
  if (virtualSizeBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`a disk of ${virtualSizeBytes} bytes`);
  const header = { version, virtualSizeBytes: Number(virtualSizeBytes), clusterBytes } as const;
  return { ...header, fileBytesMin: Math.max(l1EndOf(bytes, header), refcountTableEndOf(bytes, clusterBytes)) };
}

/**
 * Refuses a file that ends before what its header points to. What it cannot see is a file that is cut within its data.
 *
 * @throws Problem "invalid".
 */
export function checkQcow2Length(header: Qcow2Header, sizeBytes: number): void {
  if (sizeBytes >= header.fileBytesMin) return;
  throw new Problem(
    "invalid",
    `this qcow2 is cut off: it has ${sizeBytes} bytes, and its header points to tables up to byte ${header.fileBytesMin}; ` +
      "upload a whole copy (qemu-img check tells whether it is one)",
  );
}

/** Where the L1 table ends. QEMU pads it only when something follows. */
function l1EndOf(bytes: Buffer, header: Pick<Qcow2Header, "version" | "virtualSizeBytes" | "clusterBytes">): number {
  const { version, virtualSizeBytes, clusterBytes } = header;
  const entries = bytes.readUInt32BE(36);
  if (entries * 8 > l1BytesMax) throw damaged(`an L1 table of ${entries * 8} bytes`);
  const isExtended = version === 3 && (bytes.readBigUInt64BE(72) & extendedL2Bit) !== 0n;
  const bytesPerEntry = clusterBytes * (clusterBytes / (isExtended ? 16 : 8));
  if (entries < Math.ceil(virtualSizeBytes / bytesPerEntry)) {
    throw damaged(`an L1 table of ${entries} entries for a disk of ${virtualSizeBytes} bytes`);
  }
  return offsetAt(bytes, 40, clusterBytes, "L1 table") + entries * 8;
}

/** Where the refcount table's last cluster begins, at least: a writer other than QEMU may leave its end unpadded. */
function refcountTableEndOf(bytes: Buffer, clusterBytes: number): number {
  const clusters = bytes.readUInt32BE(56);
  if (clusters === 0 || clusters * clusterBytes > refcountTableBytesMax) {
    throw damaged(`a refcount table of ${clusters} clusters`);
  }
  return offsetAt(bytes, 48, clusterBytes, "refcount table") + (clusters - 1) * clusterBytes + 8;
}

function offsetAt(bytes: Buffer, position: number, clusterBytes: number, what: string): number {
  const offset = bytes.readBigUInt64BE(position);
  // Far more than any file has, and far enough below the limit of exact numbers for sums.
  const isSane = offset > 0n && offset < 2n ** 52n && offset % BigInt(clusterBytes) === 0n;
  if (!isSane) throw damaged(`its ${what} at byte ${offset}`);
  return Number(offset);
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
