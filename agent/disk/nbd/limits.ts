/** Every bound of the NBD server, with its reason. A client is a VM, so it may be hostile; and it may be slow. */

/** Connections to one disk's socket. QEMU opens one, nbdcopy four, fio one a job; the rest is for a reconnect and an onlooker. */
export const connectionsMax = 64;

/** Connections to the TCP port, which all disks share: one for each VM of a large node, and some for copies. */
export const tcpConnectionsMax = 256;

/** From the connection to the end of the handshake, TLS included. A client that means it takes milliseconds. */
export const handshakeTimeoutMs = 10_000;

/** Options of one handshake: each costs a reply, and real clients send fewer than ten. */
export const optionsMax = 64;

/** The NBD document's bound for strings. */
export const stringBytesMax = 4_096;

/** An option's data: two strings of the longest kind and a few numbers; more is not even received. */
export const optionBytesMax = 2 * stringBytesMax + 1_024;

/** Queries of one option about metadata contexts; we know one context. */
export const metaQueriesMax = 64;

/** Bytes of replies to options that a client has not taken yet. */
export const handshakeUnsentBytesMax = 256 * 1024;

/** The largest read, and the largest write whose data is received to be refused: what the document has for clients that do not ask. */
export const requestBytesMax = 32 * 1024 * 1024;

/** The largest read that is answered in one piece where the client wants no fragments. The document allows to refuse from 64 KiB on. */
export const unfragmentedBytesMax = 1024 * 1024;

/** A read above this is answered in chunks of so much, where structured replies are agreed: memory stays small and warm. */
export const chunkBytesMax = 256 * 1024;

/**
 * What is read at once, on the event loop, in one go; larger reads are made in parts of it where structured replies are agreed.
 * A thread and the way there and back cost as much as copying so much: copies with 64 or 128 KiB at once took about two
 * thirds of the CPU time of 256 KiB by a thread.
 */
export const quickBytesMax = 128 * 1024;

/**
 * Small replies are sent together up to this. More would let the client wait while the next are read, and us while it copies:
 * on two cores both go on at once.
 */
export const batchBytesMax = 64 * 1024 + 1024;

/**
 * Bytes of replies of one connection that are being read from this machine's disk or have not been sent yet: no request is
 * begun beyond it. Larger windows were slower, since their buffers fall out of the processor's cache.
 */
export const unsentBytesMax = 1024 * 1024;

/** What a reply without data takes at least until it is sent, with all that is kept of a write: many times its 16 bytes. */
export const ownBytesMin = 1024;

/**
 * Bytes of reads of one connection that wait for pieces to arrive. They have a bound of their own, so that reads of what
 * is here go past those that wait; together they are what one connection can hold.
 */
export const waitingBytesMax = 8 * 1024 * 1024;

/** Requests that wait for the above; with more, nothing is received from the client. One event's worth may come on top. */
export const queuedRequestsMax = 256;

/** Bytes of large reads in one piece, over all connections: each may be 32 MiB where structured replies are not agreed. */
export const largeReadBytesMax = 64 * 1024 * 1024;

/** Extents in one reply to a block status request: the client asks on from where they end. */
export const extentsMax = 4_096;

/** Buffers that wait to be used again, over all connections. */
export const idleBufferBytesMax = 4 * 1024 * 1024;

/** How long a client may take to receive the last replies after it has taken its leave, or after an export was closed. */
export const lingerTimeoutMs = 5_000;
