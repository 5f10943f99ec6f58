/** How a flash crowd goes in time: what its nodes have come to at each moment, and how well their links are used. */
import type { EventQueue } from "./event-queue.ts";
import type { SimNode } from "./node.ts";

export interface Moment {
  atMs: number;
  /** Nodes that have a connection past its handshake, that know the torrent, that have a piece, that have all. */
  connected: number;
  informed: number;
  begun: number;
  complete: number;
  /** Pieces per node over all pieces. */
  share: number;
  /** What arrived since the last moment over what the nodes' down-links could have taken. */
  use: number;
  /** Pieces that anybody but the seed has, over all pieces, and what the seed has sent over the image's bytes. */
  out: number;
  seedCopies: number;
}

export interface TimelineOptions {
  queue: EventQueue;
  seed: SimNode;
  /** Grows while nodes start. */
  nodes: readonly SimNode[];
  nodesTotal: number;
  imageBytes: number;
  bytesPerMs: number;
  everyMs: number;
}

/** Takes note every `everyMs` of simulated time, into the list returned, until all nodes are complete. */
export function timelineOf(options: TimelineOptions): Moment[] {
  const moments: Moment[] = [];
  let receivedBefore = 0;
  const note = () => {
    const moment = momentOf(options);
    const received = moment.share * options.imageBytes * options.nodesTotal;
    moment.use = (received - receivedBefore) / (options.everyMs * options.bytesPerMs * options.nodesTotal);
    receivedBefore = received;
    moments.push(moment);
    if (moment.complete < options.nodesTotal) options.queue.after(options.everyMs, note);
  };
  options.queue.after(options.everyMs, note);
  return moments;
}

function momentOf({ queue, seed, nodes, nodesTotal, imageBytes }: TimelineOptions): Moment {
  const counts = { connected: 0, informed: 0, begun: 0, complete: 0 };
  const { bytes: all, size } = seed.storage.have;
  const anywhere = new Uint8Array(all.length);
  let pieces = 0;
  for (const { torrent, storage } of nodes) {
    const { have } = storage;
    if (torrent.status().peers > 0) counts.connected++;
    if (torrent.info) counts.informed++;
    if (have.count > 0) counts.begun++;
    if (have.isFull) counts.complete++;
    pieces += have.count;
    for (let at = 0; at < anywhere.length; at++) anywhere[at]! |= have.bytes[at]!;
  }
  let out = 0;
  for (const byte of anywhere) for (let rest = byte; rest !== 0; rest &= rest - 1) out++;
  const seedCopies = seed.torrent.status().sentBytes / imageBytes;
  return { atMs: queue.nowMs, ...counts, share: pieces / size / nodesTotal, use: 0, out: out / size, seedCopies };
}

/** As a table, a line each moment. */
export function timelineText(moments: readonly Moment[], limitMs: number): string {
  const head = "time/limit  connected  informed  with a piece  complete  share  link use  pieces out  seed copies";
  const lines = moments.map((moment) =>
    [
      (moment.atMs / limitMs).toFixed(2).padStart(10),
      String(moment.connected).padStart(10),
      String(moment.informed).padStart(9),
      String(moment.begun).padStart(13),
      String(moment.complete).padStart(9),
      moment.share.toFixed(2).padStart(6),
      moment.use.toFixed(2).padStart(9),
      moment.out.toFixed(2).padStart(11),
      moment.seedCopies.toFixed(2).padStart(12),
    ].join(" "),
  );
  return [head, ...lines].join("\n");
}
