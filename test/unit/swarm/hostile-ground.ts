/** A seed, its torrent, and means to treat it badly over real sockets. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { TorrentInfo } from "../../../swarm/types.ts";
import { encodeHandshake, handshakeBytes } from "../../../swarm/wire.ts";

const pieceLengthBytes = 64 * 1024;
const data = randomBytes(1_000_000);

export interface Leecher {
  swarm: Swarm;
  torrent: Torrent;
}

export interface HostileGround {
  info: TorrentInfo;
  data: Buffer;
  seeder: Swarm;
  /** A connection to the seed, or to another port, from 127.0.0.1 or another loopback address; it ends with the test. */
  dial(localAddress?: string, port?: number): Socket;
  /** A connection past its handshake, with the seed's peer id. */
  greeted(localAddress?: string): Promise<{ socket: Socket; peerId: Buffer }>;
  /** A leecher that knows nobody yet, and whether it knows the info. */
  openLeecher(options?: { withInfo?: boolean }): Promise<Leecher>;
  /** A newcomer gets the whole torrent from the seed. */
  honestPeerIsServed(): Promise<void>;
  close(): Promise<void>;
}

export async function openHostileGround(): Promise<HostileGround> {
  const info = makeInfo();
  const folder = await mkdtemp(join(tmpdir(), "bootswarm-hostile-"));
  await writeFile(join(folder, "seed"), data);
  const seeder = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  const torrent = seeder.add({ infohash: info.infohash, info, dataPath: join(folder, "seed"), complete: true });
  await once(torrent, "complete");
  const sockets: Socket[] = [];
  const leechers: Swarm[] = [];

  const dial = (localAddress = "127.0.0.1", port = seeder.peerPort) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    sockets.push(socket);
    socket.on("error", () => {});
    return socket;
  };
  const openLeecher = async ({ withInfo = false } = {}) => {
    const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
    leechers.push(swarm);
    const dataPath = join(folder, `leecher-${swarm.peerPort}`);
    const files = { dataPath, havePath: `${dataPath}.have` };
    return { swarm, torrent: swarm.add({ infohash: info.infohash, ...(withInfo ? { info } : {}), ...files }) };
  };
  return {
    ...{ info, data, seeder, dial, openLeecher },
    greeted: async (localAddress) => {
      const socket = dial(localAddress);
      socket.write(encodeHandshake(info.infohash, randomBytes(20)));
      const [answer] = (await once(socket, "data")) as [Buffer];
      return { socket, peerId: answer.subarray(handshakeBytes - 20, handshakeBytes) };
    },
    honestPeerIsServed: async () => {
      const { swarm, torrent: fetched } = await openLeecher();
      fetched.addPeer({ host: "127.0.0.1", port: seeder.peerPort });
      await once(fetched, "complete");
      await swarm.close();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([seeder, ...leechers].map((swarm) => swarm.close()));
      await rm(folder, { recursive: true });
    },
  };
}

/** The socket's end, by whatever way: a reset is no failure here. */
export async function ended(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

function makeInfo(): TorrentInfo {
  const hashes: Buffer[] = [];
  for (let at = 0; at < data.length; at += pieceLengthBytes) {
    const piece = data.subarray(at, at + pieceLengthBytes);
    hashes.push(createHash("sha1").update(piece).digest());
  }
  const fields = { lengthBytes: data.length, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) };
  return torrentInfoFromInfoBytes(infoBytesOf({ name: "image", ...fields }));
}
