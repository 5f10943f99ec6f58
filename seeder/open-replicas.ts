/** Wires what a seeder has to do with others that share its catalog. With a store of its own it is the only one. */
import { hostname } from "node:os";
import type { Log } from "../daemon/log.ts";
import { Problem } from "../daemon/problem.ts";
import { programVersion } from "../daemon/version.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Endpoint } from "../swarm/types.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { Image } from "./catalog/image.ts";
import type { ImageFiles } from "./catalog/image-files.ts";
import type { ImageShelf } from "./catalog/image-shelf.ts";
import { Absent, type Others } from "./catalog/others.ts";
import { torrentFromFile } from "./catalog/torrent.ts";
import type { SeederConfig } from "./config.ts";
import { Copies } from "./replicas/copies.ts";
import { Heart } from "./replicas/heart.ts";
import { MissingTorrents } from "./replicas/missing-torrents.ts";
import { ReplicaHttp } from "./replicas/replica-http.ts";
import { replicaIdOf } from "./replicas/replica-id.ts";
import { Roster, type SelfFacts } from "./replicas/roster.ts";
import type { Store } from "./store/store.ts";

/** Whoever asks for an image that is on its way here, or at nobody's who lives, is told to come back after so long. */
const comesRetryMs = 2_000;
const awayRetryMs = 30_000;

export interface ReplicasParts {
  config: SeederConfig;
  store: Store;
  files: ImageFiles;
  shelf: ImageShelf;
  swarm: Swarm;
  /** Nodes that may have an image. */
  nodePeers: (digest: string) => Endpoint[];
  onCopied: (bytes: number, source: "swarm" | "http") => void;
  onCopyEnded: (result: "copied" | "failed") => void;
  log: Log;
}

/** The seeder among the others. */
export interface Replicas {
  roster: Roster;
  /** What the catalog is given; undefined for a seeder that is alone. */
  others: Others | undefined;
  /** Images of the catalog that are not here. */
  missing: () => number;
  /** Begins to live among the others, once the catalog is there and the API is served at `url`. */
  start: (catalog: Catalog, url: string) => Promise<void>;
  close: () => Promise<void>;
}

export async function openReplicas(parts: ReplicasParts): Promise<Replicas> {
  const { config, store, files, shelf, swarm, log } = parts;
  const isShared = config.store.url !== "";
  const id = await replicaIdOf(config.dataDirectory);
  if (isShared) await checkBelongs(parts, id);
  let apiUrl = "";
  let copies: Copies | undefined;
  let torrents: MissingTorrents | undefined;
  let heart: Heart | undefined;
  const self = async (): Promise<SelfFacts> => ({
    ...{ id, url: config.advertiseUrl || apiUrl, host: swarmHostOf(config) },
    ...{ peerPort: swarm.peerPort, dhtPort: swarm.dhtPort, version: programVersion() },
    ...{ freeBytes: await files.freeBytes(), fetches: copies?.progress() ?? [] },
  });
  const clock = { nowMs: () => performance.now(), timeMs: Date.now, random: Math.random };
  const roster = await Roster.open({ store: store.replicas, self, held: () => shelf.digests, ...clock });
  const http = new ReplicaHttp();
  return {
    roster,
    others: isShared ? othersOf(parts, roster, () => copies) : undefined,
    missing: () => copies?.missing ?? 0,
    start: async (catalog, url) => {
      apiUrl = url.startsWith("unix:") ? "" : url;
      await roster.describe();
      if (!isShared) return;
      copies = copiesInto(catalog, parts, roster, http);
      torrents = torrentsInto(catalog, roster, http, log);
      heart = beatingHeart(catalog, copies, torrents, parts, roster);
      // Who reaches this seeder may ask others for what is here, and they are to know where it is.
      await heart.begun;
    },
    close: async () => {
      await heart?.close();
      await torrents?.ended();
      await copies?.close();
      await http.close();
    },
  };
}

/** With a database that is not this directory's, its images would lie there unserved. */
async function checkBelongs({ config, store, files }: ReplicasParts, id: string): Promise<void> {
  if ((await store.replicas.listReplicas()).some((replica) => replica.id === id)) return;
  const known = new Set((await store.listImages()).map(({ digest }) => digest));
  const unknown = (await files.entries()).filter((entry) => !known.has(entry));
  const retired = await store.removedAmong(unknown);
  const strange = unknown.filter((entry) => !retired.has(entry));
  if (strange.length === 0) return;
  throw new Problem(
    "conflict",
    `${config.dataDirectory} holds ${strange.length} images that the catalog in store.url does not have, and this seeder was never part of it. ` +
      `Is it the right database? If so, move ${config.dataDirectory}/images away, start again, and publish what you need of it`,
  );
}

function swarmHostOf({ swarm }: SeederConfig): string {
  if (swarm.advertiseHost !== "") return swarm.advertiseHost;
  return ["0.0.0.0", "::"].includes(swarm.host) ? hostname() : swarm.host;
}

function othersOf({ store, shelf, log }: ReplicasParts, roster: Roster, copies: () => Copies | undefined): Others {
  const { replicas } = store;
  return {
    holdAll: async (digests) => {
      await roster.beat();
      await replicas.setCopies(roster.selfId, [...digests]);
    },
    hold: async (digest) => {
      try {
        return await replicas.addCopy(roster.selfId, digest);
      } catch (error) {
        // The heart says it again.
        log.warn({ digest, error: String(error) }, "cannot say that an image is here");
        return true;
      }
    },
    endCopy: async (digest) => copies()?.end(digest),
    elsewhere: async (digest) => {
      // It may have been published a moment ago.
      if (!roster.someHolder(digest)) await roster.look();
      return roster.someHolder(digest)?.url;
    },
    absent: (image) => absent(image, roster, shelf),
  };
}

function absent(image: Image, roster: Roster, shelf: ImageShelf): Absent {
  const name = image.names[0] ?? image.digest;
  if (shelf.holds(image)) return new Absent(`${name} is here; ask again`, comesRetryMs);
  const holders = roster.list().filter(({ images, isSelf }) => !isSelf && images.has(image.digest));
  if (holders.some(({ state }) => state === "up")) {
    return new Absent(`${name} is on its way to this seeder from another; ask again in a moment`, comesRetryMs);
  }
  const away = holders.map(({ url, id, seenAtMs }) => `${url || id}, last seen ${new Date(seenAtMs).toISOString()}`);
  const where =
    away.length === 0 ? "no seeder has its bytes" : `all seeders that have its bytes are away (${away.join("; ")})`;
  return new Absent(
    `${where}: ${name} can be had from nodes that have it, by the swarm. Bring one of them back, or publish it again`,
    awayRetryMs,
  );
}

function copiesInto(catalog: Catalog, parts: ReplicasParts, roster: Roster, http: ReplicaHttp): Copies {
  const { config, files, swarm, nodePeers, log } = parts;
  return new Copies({
    ...{ swarm, http, files, log },
    holder: (digest) => roster.someHolder(digest)?.url,
    // Those that have it not yet may be fetching it, too.
    peers: (digest) => [...roster.peers(), ...nodePeers(digest)],
    isHere: (image) => catalog.holds(image),
    copiesOf: (digest) => roster.holders(digest).length,
    adopt: (image, info) => catalog.adopt(image, info),
    rules: config.replica,
    onBytes: parts.onCopied,
    onEnded: parts.onCopyEnded,
    nowMs: () => performance.now(),
    random: Math.random,
  });
}

function torrentsInto(catalog: Catalog, roster: Roster, http: ReplicaHttp, log: Log): MissingTorrents {
  return new MissingTorrents({
    lacksTorrent: (image) => catalog.holds(image) && !catalog.isSeeded(image),
    fetch: (image, signal) => {
      const url = roster.someHolder(image.digest)?.url;
      if (url === undefined || !image.torrent) throw new Problem("unavailable", "no live seeder holds it");
      return http.torrent(url, image.digest, image.torrent.infohash, signal);
    },
    make: (image) => torrentFromFile(image.digest, catalog.dataPath(image), image.sizeBytes),
    adopt: (image, info) => catalog.adoptTorrent(image, info),
    nowMs: () => performance.now(),
    log,
  });
}

function beatingHeart(
  catalog: Catalog,
  copies: Copies,
  torrents: MissingTorrents,
  { store, shelf, swarm, log }: ReplicasParts,
  roster: Roster,
): Heart {
  let isTidy = false;
  let joined = "";
  return new Heart({
    beat: () => roster.beat(),
    refresh: () => catalog.refresh(),
    act: async (images, signal) => {
      const dhtNodes = roster.live().filter(({ isSelf }) => !isSelf);
      const told = JSON.stringify(dhtNodes.map(({ host, dhtPort }) => [host, dhtPort]));
      if (told !== joined) swarm.addBootstrap(dhtNodes.map(({ host, dhtPort }) => ({ host, port: dhtPort })));
      joined = told;
      const untold = roster.unsaid(shelf.digests);
      for (const digest of untold) await store.replicas.addCopy(roster.selfId, digest);
      if (!isTidy) await copies.tidy(images);
      isTidy = true;
      await copies.admit(images);
      // Making one reads all of an image, which copies need not wait for.
      torrents.begin(images, signal);
    },
    log,
  });
}
