import { requestBytesMax } from "./limits.ts";
import { command, NbdProtocolError, requestBytes } from "./protocol.ts";
import { decodeRequest, type NbdRequest } from "./request-codec.ts";

/** Cuts what a client sends into requests. Data of writes, which are all refused, is passed over and kept nowhere. */
export class RequestReader {
  readonly #carry = Buffer.alloc(requestBytes);
  #carried = 0;
  /** A write whose data is still coming. */
  #write: NbdRequest | undefined;
  #skipBytes = 0;

  /**
   * Gives each request to `take`, a write once all of its data has come, until that returns false: what follows is dropped.
   *
   * @throws NbdProtocolError at what is no request
   */
  read(chunk: Buffer, take: (request: NbdRequest) => boolean): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#write) {
        const skipped = Math.min(this.#skipBytes, chunk.length - at);
        this.#skipBytes -= skipped;
        at += skipped;
      } else {
        let request: NbdRequest;
        if (this.#carried === 0 && chunk.length - at >= requestBytes) {
          request = decodeRequest(chunk, at);
          at += requestBytes;
        } else {
          const copied = chunk.copy(this.#carry, this.#carried, at, at + requestBytes - this.#carried);
          this.#carried += copied;
          at += copied;
          if (this.#carried < requestBytes) return;
          this.#carried = 0;
          request = decodeRequest(this.#carry, 0);
        }
        if (request.type !== command.write) {
          if (!take(request)) return;
          continue;
        }
        if (request.length > requestBytesMax) throw new NbdProtocolError(`a write of ${request.length} bytes`);
        this.#write = request;
        this.#skipBytes = request.length;
      }
      if (this.#skipBytes > 0) continue;
      const write = this.#write;
      this.#write = undefined;
      if (!take(write)) return;
    }
  }
}
