/**
 * An import's own process: reads a foreign source and writes its bytes to a pipe. Foreign input and the libraries that
 * read it stay here, where a limit or a crash costs one import and not the seeder.
 */
import { once } from "node:events";
import { Socket } from "node:net";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { type ByteSource, bytesDescriptor, type ImportNews, type ImportOrder } from "./child-protocol.ts";
import { openHttpSource, readHttp } from "./http-source.ts";
import { errorLengthMax, torrentFileBytesMax } from "./limits.ts";

const progressIntervalMs = 500;
/** Errors that escape from the torrent library, beyond which something is wrong with it as a whole. */
const escapedErrorsMax = 50;

/** Without its parent nobody wants the bytes. */
process.on("disconnect", () => process.exit(1));
process.once("message", (order) => {
  run(order as ImportOrder).then(
    () => process.exit(0),
    (error: unknown) => report(error).finally(() => process.exit(1)),
  );
});

async function run(order: ImportOrder): Promise<void> {
  // Most imports are plain downloads; where it is not, its loading is not the source's delay.
  if (order.source.kind !== "http") await loadTorrents();
  await tell({ type: "started" });
  const { source, peers } = await open(order);
  await tell({ type: "opened", sizeBytes: source.sizeBytes });
  const timer = setInterval(() => void tell({ type: "progress", peers: peers() }), progressIntervalMs);
  const sentBytes = await writeAll(source.bytes);
  clearInterval(timer);
  await tell({ type: "done", sentBytes });
}

async function open(order: ImportOrder): Promise<{ source: ByteSource; peers: () => number }> {
  const { signal } = new AbortController();
  const onRetry = (error: unknown) =>
    void tell({ type: "retrying", reason: messageOf(error).slice(0, errorLengthMax) });
  if (order.source.kind === "http") {
    return { source: await openHttpSource(order.source.url, { signal, onRetry }), peers: () => 0 };
  }
  const torrent =
    order.source.kind === "torrent-url"
      ? await readHttp(order.source.url, torrentFileBytesMax, { signal, onRetry })
      : order.source.kind === "magnet"
        ? order.source.uri
        : order.source.bytes;
  surviveEscapedErrors();
  const { openTorrent } = await loadTorrents();
  const opened = await openTorrent(torrent, order);
  await tell({ type: "joined", webSeed: opened.webSeed });
  const timer = setInterval(() => void tell({ type: "progress", peers: opened.peers() }), progressIntervalMs);
  const source = await opened.source();
  clearInterval(timer);
  return { source, peers: opened.peers };
}

function loadTorrents() {
  return import("./torrent-source.ts");
}

async function writeAll(bytes: AsyncIterable<Uint8Array>): Promise<number> {
  const output = new Socket({ fd: bytesDescriptor, readable: false, writable: true });
  let sentBytes = 0;
  for await (const chunk of bytes) {
    sentBytes += chunk.length;
    if (!output.write(chunk)) await once(output, "drain");
  }
  output.end();
  await once(output, "finish");
  return sentBytes;
}

/**
 * torrent-stream lets errors of trackers and of malformed peer messages escape as uncaught exceptions. Every piece is
 * verified whatever happens, and the parent's timeouts end an import that stands still: going on is safe.
 */
function surviveEscapedErrors(): void {
  let count = 0;
  process.on("uncaughtException", (error) => {
    count++;
    console.error(`torrent-stream: ${messageOf(error)}`);
    if (count > escapedErrorsMax) void report(error).finally(() => process.exit(1));
  });
}

function report(error: unknown): Promise<void> {
  const kind = error instanceof Problem ? error.kind : "internal";
  return tell({ type: "failed", kind, message: messageOf(error).slice(0, errorLengthMax) });
}

function tell(news: ImportNews): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve();
    process.send?.(news, undefined, undefined, () => resolve());
  });
}
