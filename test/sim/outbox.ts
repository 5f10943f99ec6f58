/** What a simulated socket has been given to send: in order, each write's memory told free once it has left. */
import { pieceHeadBytes } from "../../swarm/wire.ts";
import type { Content } from "./content.ts";

interface Write {
  bytes: Buffer;
  taken: (() => void) | undefined;
  /** Its owner may write to the bytes again once they are taken. */
  isLent: boolean;
}

const pieceMessageId = 7;

export class Outbox {
  #writes: Write[] = [];
  #at = 0;
  bytes = 0;
  /** The first of what is left is the rest of a write whose beginning has left: nothing of it may overtake that. */
  isSplit = false;

  push(bytes: Buffer, taken: (() => void) | undefined, isLent: boolean): void {
    this.#writes.push({ bytes, taken, isLent });
    this.bytes += bytes.length;
  }

  /** Takes out up to `bytesMax`; what its owner may write to again is copied. `onTaken` gets what has wholly left. */
  take(bytesMax: number, onTaken: (taken: () => void) => void): { chunks: Buffer[]; bytes: number } {
    const chunks: Buffer[] = [];
    let bytes = 0;
    this.isSplit = false;
    while (bytes < bytesMax && this.#at < this.#writes.length) {
      const write = this.#writes[this.#at]!;
      const isWhole = write.bytes.length <= bytesMax - bytes;
      const chunk = isWhole ? write.bytes : write.bytes.subarray(0, bytesMax - bytes);
      chunks.push(write.isLent ? Buffer.from(chunk) : chunk);
      bytes += chunk.length;
      if (!isWhole) {
        write.bytes = write.bytes.subarray(chunk.length);
        this.isSplit = true;
        break;
      }
      this.#at++;
      if (write.taken) onTaken(write.taken);
    }
    if (this.#at === this.#writes.length) this.#writes.length = this.#at = 0;
    this.bytes -= bytes;
    return { chunks, bytes };
  }

  /** Lets go of everything; gives what was to be told. */
  clear(): (() => void)[] {
    const taken = this.#writes.slice(this.#at).flatMap((write) => write.taken ?? []);
    this.#writes = [];
    this.#at = this.bytes = 0;
    return taken;
  }
}

/**
 * Piece messages with views of `content` in place of their blocks' bytes, so that the memory they were written from is not
 * needed any longer: ten thousand nodes have tens of gigabytes waiting to be sent.
 */
export function withoutBlocks(messages: Buffer, content: Content): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < messages.length; ) {
    const messageBytes = 4 + messages.readUInt32BE(at);
    if (messages[at + 4] !== pieceMessageId) {
      chunks.push(copyOf(messages.subarray(at, at + messageBytes)));
      at += messageBytes;
      continue;
    }
    const length = messageBytes - pieceHeadBytes;
    const [index, begin] = [messages.readUInt32BE(at + 5), messages.readUInt32BE(at + 9)];
    chunks.push(content.headOf({ index, begin, length }), content.view(index, begin, length));
    at += pieceHeadBytes + length;
  }
  return chunks;
}

/** A copy in memory of its own. What is made from Node's pool keeps 64 KiB alive, and these are a few bytes that wait. */
export function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
