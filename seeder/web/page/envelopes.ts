/**
 * The frames of a Connect stream: a byte of flags, four bytes of length, big-endian, then the message. Pure.
 * https://connectrpc.com/docs/protocol#streaming-rpcs
 */

export interface Envelope {
  /** The last one, which says how the stream ended. */
  end: boolean;
  text: string;
}

const headBytes = 5;
const endFlag = 2;
/** A message longer than the seeder ever sends is not read. */
const messageBytesMax = 16 * 1024 * 1024;

/** Takes bytes as they arrive, and gives the messages that are whole. */
export class EnvelopeReader {
  #rest = new Uint8Array(0);
  readonly #decoder = new TextDecoder();

  /** @throws Error if a message is said to be too long. */
  read(bytes: Uint8Array): Envelope[] {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const envelopes: Envelope[] = [];
    let at = 0;
    while (all.length - at >= headBytes) {
      const length = new DataView(all.buffer, at + 1, 4).getUint32(0);
      if (length > messageBytesMax) throw new Error(`a message of ${length} bytes is too long`);
      if (all.length - at - headBytes < length) break;
      const text = this.#decoder.decode(all.subarray(at + headBytes, at + headBytes + length));
      envelopes.push({ end: (all[at]! & endFlag) !== 0, text });
      at += headBytes + length;
    }
    this.#rest = all.slice(at);
    return envelopes;
  }
}

/** A message in its frame. */
export function envelopeOf(text: string): Uint8Array<ArrayBuffer> {
  const body = new TextEncoder().encode(text);
  const envelope = new Uint8Array(headBytes + body.length);
  new DataView(envelope.buffer).setUint32(1, body.length);
  envelope.set(body, headBytes);
  return envelope;
}
