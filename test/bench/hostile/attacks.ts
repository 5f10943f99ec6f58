/** Ways to treat a node badly. Each has its fixed seed; addresses and traffic stay on loopback. */
import { randomFillSync } from "node:crypto";
import { createSocket } from "node:dgram";
import type { Socket } from "node:net";
import bencode from "bencode";
import fc from "fast-check";
import { encodeExtensionHandshake, extensionHandshakeId, ourMetadataId, ourPexId } from "../../../swarm/extension.ts";
import { infoBytesMax, pexEntriesMax } from "../../../swarm/limits.ts";
import { encodeMetadataMessage } from "../../../swarm/metadata.ts";
import {
  encodeBitfield,
  encodeBlockMessages,
  encodeExtended,
  encodePieceMessages,
  encodeSignal,
} from "../../../swarm/wire.ts";
import { hostileStream } from "../../unit/swarm/hostile-streams.ts";
import type { AttackCounts, Target } from "./messages.ts";

type Infohash = keyof Target["infohashes"];

/** What a connection does. Those that end are made anew. */
export interface ConnectionAttack {
  /** Held at the same time. */
  connections: number;
  /** The torrent of its handshake; without, it sends none. */
  greets?: Infohash;
  /** Leaves what the node sends in the socket. */
  readsNothing?: boolean;
  /** Once, when the node has answered the handshake or, without one, when the connection is there. */
  begin?: (socket: Socket, target: Target, random: () => number) => void;
  /** Again and again, while the socket takes more. */
  goOn?: (socket: Socket, target: Target, random: () => number) => void;
}

const pause = 256;

/** Streams made before the attack: to make them costs more than to send them. */
const streams = () => fc.sample(hostileStream, { seed: 7, numRuns: 500 });
let sampled: Buffer[] | undefined;

export const connectionAttacks: Record<string, ConnectionAttack> = {
  "silent connections": { connections: 2_000 },
  "handshakes a byte at a time": {
    connections: 2_000,
    begin: (socket) => void socket.write("\x13"),
    goOn: (socket) => void socket.write("B"),
  },
  "interest floods": {
    connections: 1_000,
    greets: "seeded",
    goOn: (socket) => {
      const pair = Buffer.concat([encodeSignal("interested"), encodeSignal("notInterested")]);
      socket.write(Buffer.concat(Array.from({ length: pause }, () => pair)));
    },
  },
  "unread requests": {
    connections: 400,
    greets: "seeded",
    readsNothing: true,
    begin: (socket, target, random) => {
      socket.write(encodeSignal("interested"));
      socket.write(scattered(target, random, 16 * 1024, 2_000));
    },
  },
  "unread requests of single bytes": {
    connections: 400,
    greets: "seeded",
    readsNothing: true,
    begin: (socket, target, random) => {
      socket.write(encodeSignal("interested"));
      socket.write(scattered(target, random, 1, 2_000));
    },
    goOn: (socket, target, random) => void socket.write(scattered(target, random, 1, 100)),
  },
  "unread metadata requests": {
    connections: 400,
    greets: "seeded",
    readsNothing: true,
    begin: (socket) => {
      socket.write(encodeExtended(extensionHandshakeId, encodeExtensionHandshake({ peerPort: 1, metadataBytes: 0 })));
    },
    goOn: (socket) => {
      const request = encodeExtended(ourMetadataId, encodeMetadataMessage({ type: "request", part: 0 }));
      socket.write(Buffer.concat(Array.from({ length: pause }, () => request)));
    },
  },
  "requests without end": {
    connections: 50,
    greets: "seeded",
    begin: (socket) => void socket.write(encodeSignal("interested")),
    goOn: (socket, target, random) => void socket.write(scattered(target, random, 16 * 1024, 64)),
  },
  "random and damaged streams": {
    connections: 200,
    greets: "seeded",
    begin: (socket, _target, random) => {
      sampled ??= streams();
      socket.end(sampled[Math.floor(random() * sampled.length)] as Buffer);
    },
  },
  "haves and bitfields beyond the end": {
    connections: 200,
    greets: "fetched",
    begin: (socket, { pieceCount }, random) => {
      if (random() < 0.5) socket.write(encodePieceMessages("have", [pieceCount + Math.floor(random() * 2 ** 31)]));
      else
        socket.write(encodeBitfield(Buffer.alloc(Math.ceil(pieceCount / 8) + 1 + Math.floor(random() * 60_000), 0xff)));
    },
  },
  "haves and bitfields without end": {
    connections: 200,
    greets: "fetched",
    goOn: (socket, { pieceCount }, random) => {
      const haves = encodePieceMessages(
        "have",
        Array.from({ length: pause }, () => Math.floor(random() * pieceCount)),
      );
      socket.write(Buffer.concat([haves, encodeSignal("haveAll")]));
    },
  },
  "giant metadata announced": {
    connections: 400,
    greets: "bare",
    begin: (socket, _target, random) => {
      const metadataBytes = infoBytesMax - Math.floor(random() * 1_000);
      const handshake = encodeExtensionHandshake({ peerPort: 1 + Math.floor(random() * 65_535), metadataBytes });
      socket.write(encodeExtended(extensionHandshakeId, handshake));
      const head = bencode.encode({ msg_type: 1, piece: 0, total_size: metadataBytes });
      socket.write(encodeExtended(ourMetadataId, Buffer.concat([head, Buffer.alloc(16 * 1024)])));
    },
  },
  "ut_pex floods": {
    connections: 200,
    greets: "fetched",
    begin: (socket, _target, random) => {
      for (let count = 0; count < 15; count++) socket.write(encodeExtended(ourPexId, falseAddresses(random)));
    },
    goOn: (socket, _target, random) => {
      if (random() < 0.01) socket.write(encodeExtended(ourPexId, falseAddresses(random)));
    },
  },
};

/** Requests in random places, so that no two are neighbours. */
function scattered(target: Target, random: () => number, length: number, count: number): Buffer {
  const blocks = Array.from({ length: count }, () => ({
    index: Math.floor(random() * (target.pieceCount - 1)),
    begin: Math.floor((random() * target.pieceLengthBytes) / (16 * 1024)) * 16 * 1024,
    length,
  }));
  return encodeBlockMessages("request", blocks);
}

/** Nobody listens there; dialling them leaves the machine's loopback no more than we do. */
function falseAddresses(random: () => number): Uint8Array {
  const added = Buffer.alloc(6 * pexEntriesMax);
  for (let at = 0; at < added.length; at += 6) {
    added.set([127, random() * 256, random() * 256, 1 + random() * 254], at);
    added.writeUInt16BE(1 + Math.floor(random() * 65_535), at + 4);
  }
  return bencode.encode({ added, "added.f": Buffer.alloc(pexEntriesMax) });
}

export const dhtFloods = "DHT floods";

/** Datagrams to the DHT node: queries with good form from ever new ids, false announcements, and noise. */
export function floodDht(target: Target, random: () => number, counts: AttackCounts): void {
  const socket = createSocket("udp4");
  const id = () => randomFillSync(Buffer.alloc(20));
  const query = (q: string, a: Record<string, unknown>) =>
    bencode.encode({ t: "aa", y: "q", q, a: { id: id(), ...a } } as never);
  const datagrams: (() => Uint8Array)[] = [
    () => query("ping", {}),
    () => query("find_node", { target: id() }),
    () => query("get_peers", { info_hash: Buffer.from(target.infohashes.seeded, "hex") }),
    () => query("announce_peer", { info_hash: id(), token: id(), port: 1 }),
    () => randomFillSync(Buffer.alloc(1 + Math.floor(random() * 1_400))),
  ];
  const next = () => {
    for (let count = 0; count < pause; count++) {
      const bytes = (datagrams[Math.floor(random() * datagrams.length)] as () => Uint8Array)();
      counts.made++;
      counts.bytesSent += bytes.length;
      socket.send(bytes, target.dhtPort, "127.0.0.1", () => {});
    }
    setImmediate(next);
  };
  socket.on("message", () => counts.greeted++);
  socket.bind(0, "127.0.0.2", next);
}
