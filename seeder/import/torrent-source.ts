/**
 * Reads one file of somebody else's torrent as a stream, with torrent-stream. Runs in the import's child process.
 *
 * The file is read in windows of whole pieces: one is read while the next is already asked for, so that memory is
 * bounded and the disk is written once, by the catalog.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import parseTorrent, { type ParsedTorrent } from "parse-torrent";
import torrentStream, { type Engine, type TorrentFile, type Wire } from "torrent-stream";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { decodeBencodeHead } from "../../swarm/bencode.ts";
import { createDhtClient } from "../../swarm/dht-client.ts";
import { systemClock } from "../../swarm/system-clock.ts";
import type { ByteSource } from "./child-protocol.ts";
import { namedPeersMax, peerMessageBytesMax, peersMax, torrentValuesMax, webSeedCharactersMax } from "./limits.ts";
import { checkShape, wantedFile } from "./torrent-file.ts";
import { createWindowStore } from "./window-store.ts";

/** A window: enough pieces that all peers have something to send while another window is read. */
const windowBytes = 16 * 1024 * 1024;
const windowPiecesMin = 4;

/** How often the public DHT is asked again for peers. */
const lookupIntervalMs = 60_000;

export interface TorrentOptions {
  /** Path of the wanted file; empty takes the only or largest. */
  file: string;
  /** Nodes to enter the public DHT by; empty to stay out of it. */
  publicDhtBootstrap: readonly string[];
  temporaryDirectory: string;
}

/** A torrent being read; `peers` counts connections that have sent data or are about to. */
export interface OpenTorrent {
  peers(): number;
  /** An HTTP source that the torrent names. It is not asked: pieces come from peers alone. */
  webSeed: string | undefined;
  /** Waits for the metadata, as long as it takes, and chooses the file. */
  source(): Promise<ByteSource>;
  close(): void;
}

/**
 * Joins the torrent's swarm. Peers come from its trackers, from a magnet link's own peers, and from the public DHT only
 * where bootstrap nodes for it are given.
 *
 * @param torrent a magnet link or a .torrent file's bytes
 * @throws Problem "invalid" if it is no torrent or not one that can be read.
 */
export async function openTorrent(torrent: string | Uint8Array, options: TorrentOptions): Promise<OpenTorrent> {
  const parsed = await parsedTorrent(torrent).catch((error: unknown) => {
    throw new Problem(
      "invalid",
      `this is no torrent that can be read (${messageOf(error)}); a v1 or hybrid one is needed`,
    );
  });
  if (parsed.files !== undefined) {
    const { pieceLength = 0, pieces = [] } = parsed;
    checkShape({ pieceLength, pieces }, parsed.files);
    wantedFile(parsed.files, options.file);
  }
  const engine = torrentStream(typeof torrent === "string" ? torrent : Buffer.from(torrent), {
    tmp: options.temporaryDirectory,
    path: options.temporaryDirectory,
    connections: peersMax,
    // Nothing is kept, so nothing can be shared.
    uploads: false,
    verify: false,
    storage: createWindowStore,
    // Its own DHT client would join the public DHT by default.
    dht: false,
    tracker: true,
  });
  engine.swarm.on("wire", tameConnection);
  for (const address of (parsed.peerAddresses ?? []).slice(0, namedPeersMax)) connectTo(engine, address);
  const leaveDht = joinDht(engine, parsed.infoHash, options.publicDhtBootstrap);
  return {
    peers: () => engine.swarm.wires.length,
    webSeed: parsed.urlList?.find((url) => /^https?:\/\//.test(url) && url.length <= webSeedCharactersMax),
    source: () => fileOf(engine, options.file),
    close: () => {
      leaveDht();
      engine.destroy();
    },
  };
}

async function parsedTorrent(torrent: string | Uint8Array): Promise<ParsedTorrent> {
  // The libraries' decoder does not end with every file; what this one takes does it no harm.
  if (typeof torrent !== "string") decodeBencodeHead(torrent, { valuesMax: torrentValuesMax });
  return parseTorrent(torrent);
}

async function fileOf(engine: Engine, wish: string): Promise<ByteSource> {
  if (engine.torrent === null) await once(engine, "ready");
  const torrent = engine.torrent!;
  checkShape(torrent, engine.files);
  const file = engine.files[wantedFile(engine.files, wish)]!;
  return { sizeBytes: file.length, bytes: windowedBytes(file, torrent.pieceLength) };
}

async function* windowedBytes(file: TorrentFile, pieceLength: number): AsyncIterable<Uint8Array> {
  const length = pieceLength * Math.max(windowPiecesMin, Math.floor(windowBytes / pieceLength));
  // Windows end where pieces end, so that no piece is read by two of them.
  const endOf = (start: number) => {
    const end = Math.floor((file.offset + start + length) / pieceLength) * pieceLength - file.offset;
    return Math.min(end, file.length);
  };
  const open = (start: number) => file.createReadStream({ start, end: endOf(start) - 1 });
  let current = open(0);
  for (let start = 0; start < file.length; start = endOf(start)) {
    const following = endOf(start);
    const next = following < file.length ? open(following) : undefined;
    for await (const chunk of current as AsyncIterable<Uint8Array>) yield chunk;
    if (next !== undefined) current = next;
  }
}

/**
 * Bounds what a peer may make us hold: the library gathers a message of whatever length it is told. It also leaves
 * Nagle's algorithm on, which more than halves its rate with few small requests under way.
 */
function tameConnection(wire: Wire, connection: Socket): void {
  connection.setNoDelay(true);
  const parse = wire._parse;
  wire._parse = function (size, parser) {
    // Once, at the end, the library itself asks for this much to say that it wants nothing more.
    if (size <= peerMessageBytesMax || size === Number.MAX_VALUE) return parse.call(this, size, parser);
    connection.destroy();
    parse.call(this, Number.MAX_VALUE, () => {});
  };
}

/** What the public DHT sends is nobody's business here. */
const silentLog = { debug() {}, info() {}, warn() {} };

/** Returns what ends it. */
function joinDht(engine: Engine, infohash: string, bootstrap: readonly string[]): () => void {
  if (bootstrap.length === 0) return () => {};
  const dht = createDhtClient({ bootstrap }, { log: silentLog, clock: systemClock, random: Math.random });
  dht.on("error", () => {});
  dht.on("warning", () => {});
  dht.on("peer", (peer: { host: string; port: number }) => connectTo(engine, `${peer.host}:${peer.port}`));
  const lookup = () => dht.lookup(infohash);
  dht.on("ready", lookup);
  const timer = setInterval(lookup, lookupIntervalMs);
  return () => {
    clearInterval(timer);
    dht.destroy();
  };
}

/** The library takes "IPV4:PORT" or "HOST:PORT" only, and would misread an IPv6 address. */
function connectTo(engine: Engine, address: string): void {
  if (/^[^:\s[\]]{1,253}:\d{1,5}$/.test(address)) engine.connect(address);
}
