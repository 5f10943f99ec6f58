/** What a simulated socket has been given to send: in order, each write's memory told free once it has left. */
import { pieceHeadBytes } from "../../swarm/wire.ts";
import type { Content } from "./content.ts";

interface Write {
  bytes: Buffer;
  taken: (() => void) | undefined;
}

const pieceMessageId = 7;

export class Outbox {
  #writes: Write[] = [];
  #at = 0;
  bytes = 0;
  /** The first of what is left is the rest of a write whose beginning has left: nothing of it may overtake that. */
  isSplit = false;

  push(bytes: Buffer, taken: (() => void) | undefined): void {
    this.#writes.push({ bytes, taken });
    this.bytes += bytes.length;
  }

  /** Takes out up to `bytesMax`; what its owner may write to again is copied. `onTaken` gets what has wholly left. */
  take(bytesMax: number, onTaken: (taken: () => void) => void): { chunks: Buffer[]; bytes: number } {
    const chunks: Buffer[] = [];
    let bytes = 0;
    this.isSplit = false;
    while (bytes < bytesMax && this.#at < this.#writes.length) {
      const write = this.#writes[this.#at]!;
      const chunk = write.bytes.subarray(0, bytesMax - bytes);
      chunks.push(write.taken ? Buffer.from(chunk) : chunk);
      bytes += chunk.length;
      if (chunk.length < write.bytes.length) {
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
 * needed any longer: ten thousand nodes have hundreds of gigabytes waiting to be sent.
 */
export function withoutBlocks(messages: Buffer, content: Content): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < messages.length; ) {
    const messageBytes = 4 + messages.readUInt32BE(at);
    if (messages[at + 4] !== pieceMessageId) {
      chunks.push(Buffer.from(messages.subarray(at, at + messageBytes)));
      at += messageBytes;
      continue;
    }
    const length = messageBytes - pieceHeadBytes;
    chunks.push(Buffer.from(messages.subarray(at, at + pieceHeadBytes)));
    chunks.push(content.view(messages.readUInt32BE(at + 5), messages.readUInt32BE(at + 9), length));
    at += pieceHeadBytes + length;
  }
  return chunks;
}
