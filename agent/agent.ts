/** The agent's wiring: which parts there are, what each is given, and in which order they come and go. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Registry } from "prom-client";
import { httpUrlOf, isLoopback, type ListenAddress, listenAddressFrom } from "../daemon/listen-address.ts";
import { openListener } from "../daemon/listener.ts";
import type { Log } from "../daemon/log.ts";
import { createMetrics } from "../daemon/metrics.ts";
import { messageOf } from "../daemon/problem.ts";
import { Serial } from "../daemon/serial.ts";
import { programVersion } from "../daemon/version.ts";
import { type Disk, systemDisk } from "../swarm/disk.ts";
import { isLoopback as isLoopbackHost } from "../swarm/endpoint.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { systemClock } from "../swarm/system-clock.ts";
import type { Clock } from "../swarm/types.ts";
import { serveAgent } from "./api/agent-service.ts";
import { observeBoots } from "./boot/metrics.ts";
import type { ImageCache } from "./cache/image-cache.ts";
import { InUse } from "./cache/in-use.ts";
import { stateLayout } from "./cache/layout.ts";
import type { ImageFacts } from "./cache/records.ts";
import { watchCatalog } from "./catalog/catalog-watcher.ts";
import type { AgentConfig } from "./config.ts";
import { keepSavingDhtNodes, loadDhtNodes, saveDhtNodes } from "./dht-nodes.ts";
import { Demand } from "./disk/demand.ts";
import { type Disks, openDisks } from "./disk/disks.ts";
import { createDiskMetrics, observeDisks } from "./disk/metrics.ts";
import type { Fetch } from "./fetch/fetch.ts";
import { Fetches } from "./fetch/fetches.ts";
import { Images } from "./images.ts";
import { Leases } from "./leases.ts";
import { type AgentMetrics, createAgentMetrics, observeAgent } from "./metrics.ts";
import { openState } from "./open-state.ts";
import { openSwarm } from "./open-swarm.ts";
import { createPrefetchMetrics, observePrefetches, type PrefetchMetrics } from "./prefetch/metrics.ts";
import { Prefetcher } from "./prefetch/prefetcher.ts";
import { Reporter } from "./report/reporter.ts";
import { type NodeIdentity, nodeSnapshot } from "./report/snapshot.ts";
import { nameImagePeers, SwarmEntry } from "./report/swarm-entry.ts";
import { createScrubMetrics } from "./scrub/metrics.ts";
import { Repairs } from "./scrub/repairs.ts";
import { Scrubber } from "./scrub/scrubber.ts";
import { connectSeeder, type SeederConnection } from "./seeder-connection.ts";
import { keepHoming } from "./seeders/homing.ts";
import { isLoopbackUrl } from "./seeders/seeder-urls.ts";
import { Seeding } from "./seeding/seeding.ts";
import { Space } from "./space.ts";

export interface Agent {
  /** The API's URL. */
  readonly url: string;
  close(): Promise<void>;
}

/** What all else stands on: the state directory, the swarm, and the way to the seeder. */
interface Ground {
  config: AgentConfig;
  log: Log;
  registry: Registry;
  metrics: AgentMetrics;
  prefetchMetrics: PrefetchMetrics;
  clock: Clock;
  random: () => number;
  now: () => Date;
  nodeId: string;
  cache: ImageCache;
  swarm: Swarm;
  seeder: SeederConnection;
  entry: SwarmEntry;
  seeding: Seeding;
  inUse: InUse;
  /** The order in which images come and go. */
  changing: Serial;
}

interface Fetching {
  space: Space;
  demand: Demand;
  fetches: Fetches;
}

interface Keeping {
  leases: Leases;
  repairs: Repairs;
  scrubber: Scrubber;
  images: Images;
  prefetcher: Prefetcher;
}

/** What an agent consists of, without its listener and its work in the background. */
interface AgentParts extends Ground, Fetching, Keeping {
  disks: Disks;
  identity: NodeIdentity;
}

/** What parts tell, or ask, of those that are opened after them. */
interface Later {
  fetchEnded: (fetch: Fetch) => void;
  imageCame: (digest: string) => void;
  isBooting: (digest: string) => boolean;
}

/**
 * Opens an agent: it serves what is in its cache, goes on with what it was fetching, and reports to the seeder, which
 * need not be there.
 *
 * @param disk where its state directory is: the machine's, unless a test brings its own
 * @throws Problem if the state directory or a port is taken or cannot be used.
 */
export async function openAgent(config: AgentConfig, log: Log, disk: Disk = systemDisk): Promise<Agent> {
  const address = listenAddressFrom(config.listen);
  const registry = createMetrics();
  await using opened = new AsyncDisposableStack();
  const parts = await openParts(config, log, disk, registry, opened);
  const { seeder, swarm, fetches, images, leases, seeding, identity, clock } = parts;
  const { seeders } = seeder;
  const startedMs = clock.now();
  const listener = await openListener({
    address,
    metrics: registry,
    readiness: () => ({ ready: seeders.reachable, reasons: seeders.reachable ? [] : [seeders.error] }),
    routes: (router) => {
      const uptimeMs = () => clock.now() - startedMs;
      const { concurrency } = config.fetch;
      const { attachments, boots } = parts.disks;
      serveAgent(router, { ...parts, attachments, boots, seeders, concurrency, uptimeMs });
    },
    log,
  });
  opened.defer(() => listener.close());
  // Before the listener ends the calls that keep some.
  opened.defer(() => leases.close());
  identity.apiUrl = advertisedUrl(config, address, listener.url);

  // First: VMs may be waiting since the agent last stopped.
  await parts.disks.attachments.open();
  await fetches.resume();
  parts.prefetcher.resumed();
  for (const { record } of images.list()) seeding.consider(record.digest);
  const stop = new AbortController();
  const background = runBackground(parts, stop.signal);
  opened.defer(() => {
    stop.abort(new Error("the agent is stopping"));
    return background;
  });
  const { peerPort, dhtPort } = swarm;
  log.info({ url: listener.url, peerPort, dhtPort, node: identity.id, images: images.list().length }, "listening");
  const all = opened.move();
  return { url: listener.url, close: () => all.disposeAsync() };
}

/** Opens the parts, each given to `opened`, which closes them in reverse order. */
async function openParts(
  config: AgentConfig,
  log: Log,
  disk: Disk,
  registry: Registry,
  opened: AsyncDisposableStack,
): Promise<AgentParts> {
  const later: Later = { fetchEnded: () => {}, imageCame: () => {}, isBooting: () => false };
  const ground = await openGround(config, log, disk, registry, opened);
  const fetching = openFetching(ground, later, opened);
  const keeping = openKeeping({ ...ground, ...fetching }, later);
  const disks = await openNodeDisks({ ...ground, ...fetching, ...keeping }, later);
  opened.defer(() => disks.close());
  return { ...ground, ...fetching, ...keeping, disks, identity: identityOf(ground) };
}

async function openGround(
  config: AgentConfig,
  log: Log,
  disk: Disk,
  registry: Registry,
  opened: AsyncDisposableStack,
): Promise<Ground> {
  const [clock, random, now] = [systemClock, Math.random, () => new Date()];
  const { lock, cache, nodeId } = await openState(stateLayout(resolve(config.stateDirectory), disk), now, log);
  opened.defer(() => lock.close());
  const swarm = await openSwarm(config, await loadDhtNodes(cache.layout, log), log, disk);
  opened.defer(() => swarm.close());
  opened.defer(() => saveDhtNodes(cache.layout, swarm.dhtNodes(), log));
  const identity = { nodeId, fallback: config.fetch.fallback };
  const seeder = connectSeeder({ urls: config.seeder.url, identity, clock, now, log });
  opened.defer(() => seeder.close());
  const entry = new SwarmEntry(() => seeder.seeders.url);
  const seeding = new Seeding({ cache, swarm, seederPeers: () => entry.peers, clock, log });
  opened.defer(() => seeding.close());
  const metrics = createAgentMetrics(registry);
  const prefetchMetrics = createPrefetchMetrics(registry);
  const [inUse, changing] = [new InUse(), new Serial()];
  return {
    ...{ config, log, registry, metrics, prefetchMetrics, clock, random, now, nodeId },
    ...{ cache, swarm, seeder, entry, seeding, inUse, changing },
  };
}

function openFetching(ground: Ground, later: Later, opened: AsyncDisposableStack): Fetching {
  const { config, log, metrics, prefetchMetrics, clock, random, now, cache, swarm, seeder, seeding } = ground;
  const { entry, inUse, changing } = ground;
  const told = { onEvicted: metrics.evicted, onPrefetchUsed: prefetchMetrics.used };
  const space = new Space({ cache, inUse, rules: config.cache, seeding, ...told, clock, now, log });
  const demand = new Demand(clock);
  cache.onDoubt = (digest) => demand.doubt(digest);
  const { origin } = seeder;
  const rules = { ...config.fetch, demandPatienceMs: config.disk.httpPatienceMs };
  const seederPeers = () => entry.peers;
  const fetches = new Fetches({
    tools: { cache, swarm, origin, rules, seederPeers, readers: demand, clock, now, random, log },
    concurrency: config.fetch.concurrency,
    queueMax: config.fetch.queueMax,
    prefetchBytesPerSecondMax: config.fetch.prefetchBytesPerSecondMax,
    whenFull: config.cache.whenFull,
    space,
    changing,
    onYielded: prefetchMetrics.yielded,
    isBooting: (digest) => later.isBooting(digest),
    onEnded: (fetch) => {
      metrics.fetchEnded(fetch);
      later.fetchEnded(fetch);
      if (fetch.state !== "ready") return;
      seeding.consider(fetch.digest);
      later.imageCame(fetch.digest);
    },
  });
  opened.defer(() => fetches.close());
  return { space, demand, fetches };
}

function openKeeping(ground: Ground & Fetching, later: Later): Keeping {
  const { config, log, registry, prefetchMetrics, clock, now, cache, swarm, seeder, seeding } = ground;
  const { inUse, changing, space, fetches } = ground;
  const { origin, catalog, seeders } = seeder;
  const leases = new Leases({ cache, inUse, clock, now, log });
  observeAgent(registry, { cache, fetches, swarm, origin, leases, seeders });
  const scrubMetrics = createScrubMetrics(registry);
  const repairs = new Repairs({ cache, fetches, seeding, changing, ...scrubMetrics, now, log });
  const { onBytes } = scrubMetrics;
  const scrubber = new Scrubber({ cache, repairs, rules: config.scrub, onBytes, clock, now, log });
  swarm.onReadFailed = (infohash, piece, error) => repairs.pieceUnreadable(infohash, piece, error);
  const images = new Images({
    ...{ cache, fetches, seeding, space, inUse, leases, repairs, changing, catalog, seeders, now, log },
  });
  const { prefetch: isEnabled, prefetchShare: share, prefetchBytesPerSecondMax: bytesPerSecondMax } = config.fetch;
  const prefetcher = new Prefetcher({
    ...{ cache, fetches, images, clock, log },
    rules: { ...config.cache, isEnabled, share, bytesPerSecondMax },
    onEnded: prefetchMetrics.ended,
  });
  later.fetchEnded = (fetch) => prefetcher.fetchEnded(fetch);
  observePrefetches(registry, prefetcher);
  return { leases, repairs, scrubber, images, prefetcher };
}

async function openNodeDisks(ground: Ground & Fetching & Keeping, later: Later): Promise<Disks> {
  const { config, log, registry, clock, random, now, nodeId, cache, swarm, seeder, inUse } = ground;
  const { demand, fetches, images, repairs } = ground;
  const { seeders, catalog } = seeder;
  const node = { id: nodeId, name: nameOf(config) };
  const disks = await openDisks({
    ...{ config: config.disk, demand, cache, images, fetches, inUse, clock, now, log },
    metrics: createDiskMetrics(registry),
    boot: { config: config.boot, seeders, node, catalog, repairs, swarm, random },
  });
  later.imageCame = (digest) => disks.boots.images.imageCame(digest);
  later.isBooting = (digest) => disks.boots.isBooting(digest);
  observeDisks(registry, disks);
  observeBoots(registry, disks.boots);
  return disks;
}

/** What the inventory is told of the node. */
function identityOf({ config, nodeId, swarm }: Ground): NodeIdentity {
  // Peers on loopback are of use to nodes of this machine only, of which the seeder is told as well.
  const isApart = isLoopbackHost(config.swarm.host) && !config.seeder.url.every(isLoopbackUrl);
  const peerPort = isApart ? 0 : swarm.peerPort;
  return { id: nodeId, name: nameOf(config), version: programVersion(), zone: config.zone, peerPort, apiUrl: "" };
}

function nameOf({ name }: AgentConfig): string {
  return name || hostname();
}

/** What goes on until the signal aborts: reports, a look at the catalog, and keeping the DHT's nodes. Never rejects. */
async function runBackground(parts: AgentParts, signal: AbortSignal): Promise<void> {
  const { config, log, clock, random, seeder, cache, swarm, entry, seeding, fetches, metrics, identity } = parts;
  const { prefetcher } = parts;
  const { intervalMs } = config.report;
  const reporter = new Reporter({
    transport: seeder.transport,
    seeders: seeder.seeders,
    epoch: randomBytes(8).readBigUInt64BE(),
    intervalMs,
    snapshot: () => nodeSnapshot(identity, cache, fetches, prefetcher, intervalMs, swarm.status().verifyFailures),
    triggers: [cache.changes, fetches.stateChanges, prefetcher.changes],
    onDirectives: (directives) => prefetcher.take(directives),
    onSeeders: (urls) => seeder.seeders.learn(urls),
    onBootstrap: (endpoints) => entry.learn(endpoints, swarm),
    onImagePeers: (told) => nameImagePeers(told, (digest) => cache.get(digest)?.record.infohash, swarm),
    onResult: metrics.reported,
    clock,
    random,
    log,
  });
  const onImage = async (facts: ImageFacts) => {
    const before = cache.get(facts.digest)?.record.infohash;
    try {
      const isNew = await cache.learn(facts);
      parts.disks.boots.images.consider(facts);
      if (!isNew) return;
    } catch (error) {
      log.warn({ digest: facts.digest, error: messageOf(error) }, "cannot write down what the catalog says");
      return;
    }
    if (before) await swarm.get(before)?.close();
    seeding.consider(facts.digest);
  };
  await Promise.all([
    reporter.run(signal),
    parts.scrubber.run(signal),
    parts.disks.run(signal),
    watchCatalog({ catalog: seeder.catalog, onImage, clock, random, log }, signal),
    keepLookingForSpace(parts, signal),
    keepHoming({ ...seeder, clock, random }, signal),
    keepSavingDhtNodes(cache.layout, () => swarm.dhtNodes(), clock, log, signal),
  ]);
}

/** Admits fetches that wait for space whenever an image has gone, or may now go. */
async function keepLookingForSpace({ cache, inUse, fetches }: AgentParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const [cacheVersion, useVersion] = [cache.changes.version, inUse.changes.version];
    await fetches.lookForSpace();
    const either = new AbortController();
    const both = AbortSignal.any([signal, either.signal]);
    await Promise.race([cache.changes.after(cacheVersion, both), inUse.changes.after(useVersion, both)]);
    either.abort();
  }
}

/** Where other machines reach the API; empty if they cannot. */
function advertisedUrl(config: AgentConfig, address: ListenAddress, url: string): string {
  if (config.advertiseUrl !== "") return config.advertiseUrl;
  if (isLoopback(address)) return "";
  const everywhere = "host" in address && ["0.0.0.0", "::"].includes(address.host);
  return everywhere ? httpUrlOf(hostname(), Number(new URL(url).port)) : url;
}
