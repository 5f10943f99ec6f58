/** The agent's wiring: which parts there are, what each is given, and in which order they come and go. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { compressionGzip, createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { httpUrlOf, isLoopback, type ListenAddress, listenAddressFrom } from "../daemon/listen-address.ts";
import { openListener } from "../daemon/listener.ts";
import type { Log } from "../daemon/log.ts";
import { createMetrics } from "../daemon/metrics.ts";
import { systemClock } from "../swarm/swarm.ts";
import { serveAgent } from "./api/agent-service.ts";
import type { ImageCache } from "./cache/image-cache.ts";
import { stateLayout } from "./cache/layout.ts";
import { Catalog } from "./catalog/catalog.ts";
import { watchCatalog } from "./catalog/catalog-watcher.ts";
import { SeederLink } from "./catalog/seeder-link.ts";
import type { AgentConfig } from "./config.ts";
import { keepSavingDhtNodes, loadDhtNodes, saveDhtNodes } from "./dht-nodes.ts";
import { Fetches } from "./fetch/fetches.ts";
import { HttpOrigin } from "./fetch/http-origin.ts";
import { Images } from "./images.ts";
import { createAgentMetrics } from "./metrics.ts";
import { openState } from "./open-state.ts";
import { openSwarm } from "./open-swarm.ts";
import { Reporter } from "./report/reporter.ts";
import { nodeSnapshot } from "./report/snapshot.ts";
import { SwarmEntry } from "./report/swarm-entry.ts";
import { Seeding } from "./seeding/seeding.ts";
import { programVersion } from "./version.ts";

/** A seeder that does not answer a ping by then is taken to be away, and streams from it end. */
const pingIntervalMs = 15_000;
const pingTimeoutMs = 10_000;

export interface Agent {
  /** The API's URL. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Opens an agent: it serves what is in its cache, goes on with what it was fetching, and reports to the seeder, which
 * need not be there.
 *
 * @throws Problem if the state directory or a port is taken or cannot be used.
 */
export async function openAgent(config: AgentConfig, log: Log): Promise<Agent> {
  const clock = systemClock;
  const now = () => new Date();
  const random = Math.random;
  const startedMs = clock.now();
  const address = listenAddressFrom(config.listen);
  const layout = stateLayout(resolve(config.stateDirectory));
  await using opened = new AsyncDisposableStack();

  const { lock, cache, nodeId } = await openState(layout, now, log);
  opened.defer(() => lock.close());
  const swarm = await openSwarm(config, await loadDhtNodes(layout, log), log);
  opened.defer(() => swarm.close());
  const dhtNodes = () => swarm.dhtNodes();
  opened.defer(() => saveDhtNodes(layout, dhtNodes(), log));

  const stop = new AbortController();
  const link = new SeederLink(config.seeder.url, now);
  const session = new Http2SessionManager(config.seeder.url, { pingIntervalMs, pingTimeoutMs });
  opened.defer(() => session.abort());
  const transport = createConnectTransport({
    baseUrl: config.seeder.url,
    httpVersion: "2",
    sessionManager: session,
    acceptCompression: [compressionGzip],
    readMaxBytes: 64 * 1024 * 1024,
  });
  const catalog = new Catalog(transport, link);
  const origin = new HttpOrigin(config.seeder.url);
  opened.defer(() => origin.close());

  const registry = createMetrics();
  const metrics = createAgentMetrics(registry);
  const entry = new SwarmEntry(config.seeder.url);
  const seederPeers = () => entry.peers;
  const seeding = new Seeding({ cache, swarm, seederPeers, clock, log });
  opened.defer(() => seeding.close());
  const fetches = new Fetches({
    tools: { cache, swarm, origin, rules: config.fetch, seederPeers, clock, now, random, log },
    concurrency: config.fetch.concurrency,
    queueMax: config.fetch.queueMax,
    onEnded: (fetch) => {
      metrics.fetchEnded(fetch);
      if (fetch.state === "ready") seeding.consider(fetch.digest);
    },
  });
  opened.defer(() => fetches.close());
  metrics.observe({ cache, fetches, swarm, origin });
  const images = new Images({ cache, fetches, seeding, catalog, link, now, log });

  const identity = { id: nodeId, name: config.name || hostname(), version: programVersion(), apiUrl: "" };
  const listener = await openListener({
    address,
    metrics: registry,
    readiness: () => ({ ready: link.reachable, reasons: link.reachable ? [] : [link.error] }),
    routes: (router) => {
      const uptimeMs = () => clock.now() - startedMs;
      const { concurrency } = config.fetch;
      serveAgent(router, { images, fetches, swarm, identity, cache, link, concurrency, uptimeMs });
    },
    log,
  });
  opened.defer(() => listener.close());
  identity.apiUrl = advertisedUrl(config, address, listener.url);

  const reporter = new Reporter({
    transport,
    link,
    epoch: randomBytes(8).readBigUInt64BE(),
    intervalMs: config.report.intervalMs,
    snapshot: () => nodeSnapshot(identity, cache, fetches, config.report.intervalMs),
    triggers: [cache.changes, fetches.stateChanges],
    onBootstrap: (endpoints) => entry.learn(endpoints, swarm),
    onResult: metrics.reported,
    clock,
    random,
    log,
  });
  const onImage = async (facts: Parameters<ImageCache["learn"]>[0]) => {
    const before = cache.get(facts.digest)?.record.infohash;
    if (!(await cache.learn(facts))) return;
    if (before) await swarm.get(before)?.close();
    seeding.consider(facts.digest);
  };
  await fetches.resume();
  for (const { complete, record } of cache.list()) if (complete) seeding.consider(record.digest);
  const background = Promise.all([
    reporter.run(stop.signal),
    watchCatalog({ catalog, onImage, clock, random, log }, stop.signal),
    keepSavingDhtNodes(layout, dhtNodes, clock, log, stop.signal),
  ]);
  opened.defer(async () => {
    stop.abort(new Error("the agent is stopping"));
    await background;
  });
  log.info(
    { url: listener.url, peerPort: swarm.peerPort, dhtPort: swarm.dhtPort, node: nodeId, images: images.list().length },
    "listening",
  );
  const all = opened.move();
  return { url: listener.url, close: () => all.disposeAsync() };
}

/** Where other machines reach the API; empty if they cannot. */
function advertisedUrl(config: AgentConfig, address: ListenAddress, url: string): string {
  if (config.advertiseUrl !== "") return config.advertiseUrl;
  if (isLoopback(address)) return "";
  const everywhere = "host" in address && ["0.0.0.0", "::"].includes(address.host);
  return everywhere ? httpUrlOf(hostname(), Number(new URL(url).port)) : url;
}
