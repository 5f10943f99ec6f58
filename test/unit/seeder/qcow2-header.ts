export interface HeaderFields {
  version?: 2 | 3;
  /** Any version number, instead of `version`. */
  rawVersion?: number;
  virtualSizeBytes?: number;
  virtualSize?: bigint;
  backingFileOffset?: bigint;
  clusterBits?: number;
  l1Size?: number;
  incompatible?: bigint;
  headerLength?: number;
}

/** The first 112 bytes of a qcow2, as QEMU's docs/interop/qcow2.txt lays them out. */
export function qcow2Header(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(112);
  const version = fields.rawVersion ?? fields.version ?? 3;
  header.write("QFI\xfb", "latin1");
  header.writeUInt32BE(version, 4);
  header.writeBigUInt64BE(fields.backingFileOffset ?? 0n, 8);
  header.writeUInt32BE(fields.backingFileOffset === undefined ? 0 : 8, 16);
  header.writeUInt32BE(fields.clusterBits ?? 16, 20);
  header.writeBigUInt64BE(fields.virtualSize ?? BigInt(fields.virtualSizeBytes ?? 1024 ** 3), 24);
  header.writeUInt32BE(fields.l1Size ?? 2, 36);
  if (version === 3) {
    header.writeBigUInt64BE(fields.incompatible ?? 0n, 72);
    header.writeUInt32BE(fields.headerLength ?? 104, 100);
  }
  return header;
}
