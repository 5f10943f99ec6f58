/**
 * The numbers of the NBD protocol (the NetworkBlockDevice project's doc/proto.md), by its names without their prefixes.
 * All integers on the wire are big endian.
 */

export const nbdMagic = 0x4e42444d41474943n;
/** "IHAVEOPT": the newstyle handshake, and the start of each option. */
export const optionMagic = 0x49484156454f5054n;
export const optionReplyMagic = 0x0003e889045565a9n;
export const requestMagic = 0x25609513;
export const simpleReplyMagic = 0x67446698;
export const structuredReplyMagic = 0x668e33ef;

/** The server's, and the client's answer. */
export const handshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const optionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 2 ** 31 + 1,
  policy: 2 ** 31 + 2,
  invalid: 2 ** 31 + 3,
  tlsRequired: 2 ** 31 + 5,
  unknown: 2 ** 31 + 6,
} as const;

export const info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const transmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
} as const;

export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const commandFlag = { fua: 1, noHole: 2, df: 4, reqOne: 8, fastZero: 16 } as const;

export const chunkFlagDone = 1;

export const chunk = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 2 ** 15 + 1,
  errorOffset: 2 ** 15 + 2,
} as const;

/** What a command fails with: Linux's numbers. */
export const nbdError = { none: 0, perm: 1, io: 5, noMemory: 12, invalid: 22, overflow: 75, shutdown: 108 } as const;

/** The metadata context for holes, and our number for it. */
export const baseAllocation = "base:allocation";
export const baseAllocationId = 1;
/** Of base:allocation: takes no room; reads as zeros. */
export const stateFlag = { hole: 1, zero: 2 } as const;

export const requestBytes = 28;
export const simpleReplyBytes = 16;
export const chunkHeadBytes = 20;
/** A data chunk begins with its offset. */
export const dataChunkHeadBytes = chunkHeadBytes + 8;

/** A client that breaks the protocol, or a bound: its connection ends. */
export class NbdProtocolError extends Error {
  override readonly name = "NbdProtocolError";
}
