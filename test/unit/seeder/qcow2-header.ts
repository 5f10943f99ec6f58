export interface HeaderFields {
  version?: 2 | 3;
  /** Any version number, instead of `version`. */
  rawVersion?: number;
  virtualSizeBytes?: number;
  virtualSize?: bigint;
  backingFileOffset?: bigint;
  clusterBits?: number;
  l1Size?: number;
  l1Offset?: bigint;
  refcountTableOffset?: bigint;
  refcountTableClusters?: number;
  incompatible?: bigint;
  headerLength?: number;
}

/**
 * The first 112 bytes of a qcow2, as QEMU's docs/interop/qcow2.txt lays them out. Its tables are where qemu-img puts
 * them: refcount table, one refcount block and L1 table in the clusters after the header's.
 */
export function qcow2Header(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(112);
  const version = fields.rawVersion ?? fields.version ?? 3;
  const clusterBits = fields.clusterBits ?? 16;
  const virtualSize = fields.virtualSize ?? BigInt(fields.virtualSizeBytes ?? 1024 ** 3);
  header.write("QFI\xfb", "latin1");
  header.writeUInt32BE(version, 4);
  header.writeBigUInt64BE(fields.backingFileOffset ?? 0n, 8);
  header.writeUInt32BE(fields.backingFileOffset === undefined ? 0 : 8, 16);
  header.writeUInt32BE(clusterBits, 20);
  header.writeBigUInt64BE(virtualSize, 24);
  header.writeUInt32BE(fields.l1Size ?? l1EntriesFor(virtualSize, clusterBits), 36);
  header.writeBigUInt64BE(fields.l1Offset ?? 3n << BigInt(clusterBits), 40);
  header.writeBigUInt64BE(fields.refcountTableOffset ?? 1n << BigInt(clusterBits), 48);
  header.writeUInt32BE(fields.refcountTableClusters ?? 1, 56);
  if (version === 3) {
    header.writeBigUInt64BE(fields.incompatible ?? 0n, 72);
    header.writeUInt32BE(4, 96);
    header.writeUInt32BE(fields.headerLength ?? 104, 100);
  }
  return header;
}

/** A whole qcow2 in which no cluster is allocated; it ends with its L1 table. */
export function emptyQcow2(virtualSizeBytes: number): Buffer {
  const clusterBytes = 65_536;
  const header = qcow2Header({ virtualSizeBytes });
  const image = Buffer.alloc(3 * clusterBytes + 8 * header.readUInt32BE(36));
  header.copy(image);
  // The refcount table names its one block, and that counts each of the four clusters once.
  image.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < 4; cluster++) image.writeUInt16BE(1, 2 * clusterBytes + 2 * cluster);
  return image;
}

/** Each L1 entry stands for as many clusters as a cluster has room for L2 entries. */
function l1EntriesFor(virtualSize: bigint, clusterBits: number): number {
  const shift = BigInt(2 * clusterBits - 3);
  return Number(BigInt.asUintN(32, (virtualSize + (1n << shift) - 1n) >> shift));
}
