/** What one seeder asks of another by HTTP. Whom it asks comes from the store alone. */
import { Agent, type Dispatcher, request } from "undici";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { infoBytesMax } from "../../swarm/limits.ts";
import { infoBytesFromMetainfo, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../swarm/types.ts";

/** Connections to one seeder: a few copies at once, each with a few ranges. */
const connectionsMax = 8;
const connectTimeoutMs = 5_000;
const silenceTimeoutMs = 30_000;
/** A .torrent file: the info dictionary and a few bytes around it. */
const metainfoBytesMax = infoBytesMax + 1_024;
/** What a seeder that does not hold an image is told, lest it send us on in a circle; and we are no node in need. */
const headers = { "accept-encoding": "identity", "bootswarm-fallback": "always" };

export class ReplicaHttp {
  readonly #dispatcher = new Agent({
    connections: connectionsMax,
    connect: { timeout: connectTimeoutMs },
    headersTimeout: silenceTimeoutMs,
    bodyTimeout: silenceTimeoutMs,
  });

  /**
   * An image's bytes from `offset` on, to its end or to `offset + lengthBytes`.
   *
   * @throws Problem "unavailable" if the seeder does not give exactly these.
   */
  async open(
    url: string,
    image: { digest: string; sizeBytes: number },
    offset: number,
    lengthBytes: number | undefined,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer>> {
    const last = offset + (lengthBytes ?? image.sizeBytes - offset) - 1;
    const range = { range: `bytes=${offset}-${last}` };
    const path = `/images/${image.digest}/data?redirected=1`;
    const response = await this.#get(url, path, range, signal);
    const found = response.headers["content-range"];
    if (response.statusCode === 206 && found === `bytes ${offset}-${last}/${image.sizeBytes}`) return response.body;
    await response.body.dump();
    throw new Problem("unavailable", `the seeder at ${url} answers ${response.statusCode} where bytes should be`);
  }

  /** Exactly `lengthBytes` at `offset`. @throws Problem "unavailable". */
  async read(
    url: string,
    image: { digest: string; sizeBytes: number },
    offset: number,
    lengthBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(lengthBytes);
    let filled = 0;
    for await (const chunk of await this.open(url, image, offset, lengthBytes, signal)) {
      filled += chunk.copy(bytes, filled);
    }
    if (filled === lengthBytes) return bytes;
    throw new Problem("unavailable", `the seeder at ${url} sent ${filled} of ${lengthBytes} bytes`);
  }

  /** An image's torrent, which is the one of that infohash. @throws Problem "unavailable". */
  async torrent(url: string, digest: string, infohash: string, signal: AbortSignal): Promise<TorrentInfo> {
    const response = await this.#get(url, `/images/${digest}.torrent?redirected=1`, {}, signal);
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > metainfoBytesMax) break;
      parts.push(chunk);
    }
    try {
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      const info = torrentInfoFromInfoBytes(infoBytesFromMetainfo(Buffer.concat(parts)));
      if (info.infohash === infohash) return info;
      throw new Error(`it is another, ${info.infohash}`);
    } catch (error) {
      throw new Problem(
        "unavailable",
        `the seeder at ${url} does not give the torrent of ${digest}: ${messageOf(error)}`,
      );
    }
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #get(
    url: string,
    path: string,
    more: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await request(url + path, { dispatcher: this.#dispatcher, headers: { ...headers, ...more }, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new Problem("unavailable", `the seeder at ${url} does not answer: ${messageOf(error)}`, { cause: error });
    }
  }
}
