/**
 * The info dictionary from peers (BEP 9, ut_metadata), so that a magnet link alone is enough, and to peers.
 * Pure: messages in, messages out; the torrent owns the connections and the clock.
 */
import { hash } from "node:crypto";
import bencode from "bencode";
import { decodeBencodeHead } from "./bencode.ts";
import { infoBytesMax, metadataRequestsMax } from "./limits.ts";

/** Metadata travels in parts of this size; only the last is shorter. */
const partBytes = 16 * 1024;

export interface MetadataPart {
  type: "data";
  part: number;
  /** Length of the whole info dictionary. */
  totalBytes: number;
  bytes: Uint8Array;
}

export type MetadataMessage = { type: "request"; part: number } | { type: "reject"; part: number } | MetadataPart;

const messageTypes = ["request", "data", "reject"] as const;

/**
 * Undefined for a type that we do not know, which BEP 9 says to pass over.
 *
 * @param namedBytes what the peer's extension handshake named as the dictionary's length: torrent-stream leaves it out
 *   of its data messages
 * @throws Error if the payload is no ut_metadata message.
 */
export function metadataMessageFrom(payload: Uint8Array, namedBytes = 0): MetadataMessage | undefined {
  const head = decodeBencodeHead(payload) as Record<string, unknown>;
  const typeId = head?.msg_type;
  const part = head?.piece;
  if (typeof typeId !== "number") throw new Error("a ut_metadata message has no type");
  const type = messageTypes[typeId];
  if (type === undefined) return undefined;
  if (typeof part !== "number" || !Number.isSafeInteger(part) || part < 0) {
    throw new Error("a ut_metadata message has no valid piece");
  }
  if (type !== "data") return { type, part };
  const totalBytes = head.total_size ?? namedBytes;
  if (typeof totalBytes !== "number" || part * partBytes >= totalBytes) {
    throw new Error("a ut_metadata message has no valid total size");
  }
  // The part's bytes follow the dictionary, to the message's end.
  const bytes = Math.min(partBytes, totalBytes - part * partBytes);
  if (payload.length < bytes) throw new Error("a ut_metadata message is shorter than its part");
  return { type, part, totalBytes, bytes: payload.subarray(payload.length - bytes) };
}

export function encodeMetadataMessage(message: MetadataMessage): Uint8Array {
  const head = { msg_type: messageTypes.indexOf(message.type), piece: message.part };
  if (message.type !== "data") return bencode.encode(head);
  return Buffer.concat([bencode.encode({ ...head, total_size: message.totalBytes }), message.bytes]);
}

/** The answer to a request for part of `infoBytes`. */
export function answerMetadataRequest(infoBytes: Uint8Array | undefined, part: number): MetadataMessage {
  const start = part * partBytes;
  if (!infoBytes || start >= infoBytes.length) return { type: "reject", part };
  return { type: "data", part, totalBytes: infoBytes.length, bytes: infoBytes.subarray(start, start + partBytes) };
}

/** Collects an info dictionary from one peer: all from the same, so that a false one has one author. */
export class MetadataDownload {
  readonly #infohash: string;
  readonly #bytes: Buffer;
  readonly #arrived: boolean[];
  readonly #inFlight = new Set<number>();
  /** Parts below it have been asked for. */
  #next = 0;
  #partsMissing: number;

  /** @throws Error if the size that the peer named is beyond bounds. */
  constructor(infohash: string, sizeBytes: number) {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes > infoBytesMax) {
      throw new Error(`metadata of ${sizeBytes} bytes is not between 1 and ${infoBytesMax}`);
    }
    this.#infohash = infohash;
    this.#bytes = Buffer.alloc(sizeBytes);
    this.#partsMissing = Math.ceil(sizeBytes / partBytes);
    this.#arrived = new Array<boolean>(this.#partsMissing).fill(false);
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  get partsMissing(): number {
    return this.#partsMissing;
  }

  /** Parts to ask for now. */
  nextRequests(): MetadataMessage[] {
    const requests: MetadataMessage[] = [];
    for (; this.#inFlight.size < metadataRequestsMax && this.#next < this.#arrived.length; this.#next++) {
      if (this.#arrived[this.#next]) continue;
      this.#inFlight.add(this.#next);
      requests.push({ type: "request", part: this.#next });
    }
    return requests;
  }

  /** Takes what is in flight for lost: all that is missing will be asked for again. What comes late is still taken. */
  restart(): void {
    this.#inFlight.clear();
    this.#next = 0;
  }

  /**
   * Takes a part; gives the whole once it is complete. A part that is here already is dropped: it was asked for twice.
   *
   * @throws Error if the part does not fit, or the whole is not what the infohash names: the peer lies.
   */
  take(message: MetadataPart): Uint8Array | undefined {
    const start = message.part * partBytes;
    const expectedBytes = Math.min(partBytes, this.#bytes.length - start);
    const hasArrived = this.#arrived[message.part];
    if (message.bytes.length !== expectedBytes || hasArrived === undefined) {
      throw new Error(`metadata part ${message.part} of ${message.bytes.length} bytes does not fit`);
    }
    this.#inFlight.delete(message.part);
    if (hasArrived) return undefined;
    this.#bytes.set(message.bytes, start);
    this.#arrived[message.part] = true;
    this.#partsMissing--;
    if (this.#partsMissing > 0) return undefined;
    if (hash("sha1", this.#bytes) !== this.#infohash) throw new Error("metadata does not match the infohash");
    return this.#bytes;
  }
}
