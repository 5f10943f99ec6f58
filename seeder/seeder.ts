/** The wiring of a seeder: which part gets what. Read this first. */
import { hostname } from "node:os";
import { join } from "node:path";
import { toJsonString } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { httpUrlOf, listenAddressFrom } from "../daemon/listen-address.ts";
import { type Listener, openListener, type Request, type Response } from "../daemon/listener.ts";
import type { Log } from "../daemon/log.ts";
import { createMetrics } from "../daemon/metrics.ts";
import { unaryShortcut } from "../daemon/unary-shortcut.ts";
import { programVersion } from "../daemon/version.ts";
import { ImageSchema } from "../proto/gen/bootswarm/image/v1/image_pb.js";
import { CatalogService } from "../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { DashboardService } from "../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { InventoryService } from "../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { PlacementService } from "../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { PrefetchService } from "../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Swarm } from "../swarm/swarm.ts";
import type { Endpoint } from "../swarm/types.ts";
import { imageMessage } from "./api/catalog-messages.ts";
import { createCatalogService } from "./api/catalog-service.ts";
import { createDashboardService } from "./api/dashboard-service.ts";
import { createInventoryService, type InventoryServiceParts, reportAnswerer } from "./api/inventory-service.ts";
import { createPrefetchService } from "./api/prefetch-service.ts";
import { Catalog } from "./catalog/catalog.ts";
import { Hasher } from "./catalog/hasher.ts";
import type { Image } from "./catalog/image.ts";
import { ImageFiles } from "./catalog/image-files.ts";
import { ImageShelf } from "./catalog/image-shelf.ts";
import type { Importer } from "./catalog/importer.ts";
import { Seeding } from "./catalog/seeding.ts";
import type { SeederConfig } from "./config.ts";
import { Dashboard } from "./dashboard/dashboard.ts";
import { takeDataDirectory } from "./data-directory.ts";
import { keepDhtTable } from "./dht-table.ts";
import { createImporter } from "./import/importer.ts";
import { InventoryKeeper } from "./inventory/inventory-keeper.ts";
import { createSeederMetrics, observeSeeder, type SeederMetrics } from "./metrics.ts";
import { openLaunches } from "./open-launches.ts";
import { openPlacement } from "./open-placement.ts";
import { openPrefetches } from "./open-prefetches.ts";
import { openReplicas } from "./open-replicas.ts";
import { openSwarm } from "./open-swarm.ts";
import { FallbackBudget, type FallbackMode } from "./origin/fallback-budget.ts";
import { createOrigin } from "./origin/origin.ts";
import type { Prefetches } from "./prefetch/prefetches.ts";
import { awaitCopies, checkWanted } from "./replicas/await-copies.ts";
import type { Roster } from "./replicas/roster.ts";
import { SeederPlaces } from "./replicas/seeder-places.ts";
import { openStore } from "./store/open-store.ts";
import { createStoreMetrics, observeStore } from "./store-metrics.ts";
import { createWeb } from "./web/web.ts";

export interface Seeder {
  /** Where the API is: http://HOST:PORT, or unix:/PATH. */
  readonly url: string;
  readonly peerPort: number;
  readonly dhtPort: number;
  /** Ends what is under way, leaving nothing half-written, and gives the data directory free. */
  close(): Promise<void>;
}

/** What a running seeder consists of, without the listener. */
interface SeederParts {
  swarm: Swarm;
  roster: Roster;
  catalog: Catalog;
  keeper: InventoryKeeper;
  importer: Importer;
  metrics: SeederMetrics;
  fallback: FallbackBudget;
  dashboard: Dashboard;
  placement: ServiceImpl<typeof PlacementService>;
  prefetches: Prefetches;
}

/**
 * Starts a seeder: takes the data directory, opens store and swarm, seeds all images, and listens last.
 *
 * @throws Problem for anything an operator can mend: the directory, a port, the database.
 */
export async function openSeeder(config: SeederConfig, log: Log): Promise<Seeder> {
  await using stack = new AsyncDisposableStack();
  const address = listenAddressFrom(config.listen);
  stack.adopt(await takeDataDirectory(config.dataDirectory), (lock) => lock.close());
  const store = stack.adopt(await openStore(config, log), (it) => it.close());
  const swarm = stack.adopt(await openSwarm(config, log), (it) => it.close());
  stack.adopt(await keepDhtTable(swarm, config.dataDirectory, log), (it) => it.close());
  const hasher = stack.adopt(new Hasher(), (it) => it.close());
  const files = await ImageFiles.open(config.dataDirectory);
  const registry = createMetrics();
  const metrics = createSeederMetrics(registry);
  const shelf = new ImageShelf(files, new Seeding(swarm, log), log);
  let nodePeers = (_digest: string): Endpoint[] => [];
  const replicas = await openReplicas({
    ...{ config, store, files, shelf, swarm, log },
    nodePeers: (digest) => nodePeers(digest),
    onCopied: metrics.copied,
    onCopyEnded: metrics.copyEnded,
  });
  const catalog = new Catalog({
    ...{ store, shelf, others: replicas.others },
    hasher,
    log,
    nowMs: Date.now,
    publishesActiveMax: config.upload.concurrency,
    onPublished: metrics.published,
  });
  stack.defer(() => catalog.close());
  await catalog.start();
  stack.defer(() => replicas.close());
  const keeper = stack.adopt(
    await InventoryKeeper.open({
      store: store.inventory,
      observer: createStoreMetrics(registry),
      log,
      nowMs: Date.now,
    }),
    (it) => it.close(),
  );
  nodePeers = (digest) => keeper.inventory.peersOf(digest, Date.now(), Math.random);
  const importer = stack.adopt(
    await createImporter({
      config: config.import,
      directory: join(config.dataDirectory, "imports"),
      publisher: catalog,
      log,
    }),
    (it) => it.close(),
  );
  const { fallbackSlots: slots, fallbackBytesPerSecond: bytesPerSecond } = config.origin;
  const fallback = new FallbackBudget({ slots, bytesPerSecond }, () => performance.now(), Math.random);
  const nodeCounts = () => keeper.inventory.counts(Date.now());
  observeStore(registry, keeper.saving);
  const { roster, missing } = replicas;
  const replicaCounts = () => {
    const up = roster.live().length;
    return { up, lost: roster.list().length - up };
  };
  observeSeeder(registry, {
    ...{ catalog, swarm, nodeCounts, pacing: keeper.pacing, fallback },
    ...{ replicaCounts, missingImages: missing },
  });
  const dashboard = stack.adopt(
    new Dashboard({
      version: programVersion(),
      nodes: (nowMs) => keeper.inventory.nodes(nowMs),
      swarm,
      fallback,
      fallbackSlots: slots,
      watchCatalog: (signal) => catalog.watch(signal),
      nowMs: Date.now,
      log,
    }),
    (it) => it.close(),
  );
  const { inventory } = keeper;
  const prefetches = stack.adopt(
    await openPrefetches({ store, roster, inventory, catalog, log }, config, registry),
    (it) => it.close(),
  );
  const late = stack.adopt(await openLaunches({ store, log }, config), (it) => it.close());
  const placement = openPlacement({ inventory, catalog, popularity: prefetches, late }, config.placement, registry);
  let stopping = false;
  const readiness = () => readinessOf(stopping, keeper);
  const parts = { swarm, roster, catalog, keeper, importer, metrics, fallback, dashboard, placement, prefetches };
  const serving = servedBy(parts, config, log);
  const listener: Listener = stack.adopt(
    await openListener({ address, metrics: registry, readiness, log, ...serving }),
    (it) => it.close(),
  );
  await replicas.start(catalog, reachedAt(listener.url));
  const { peerPort, dhtPort } = swarm;
  log.info({ url: listener.url, peerPort, dhtPort, dataDirectory: config.dataDirectory }, "listening");
  const running = stack.move();
  return {
    url: listener.url,
    peerPort,
    dhtPort,
    close: async () => {
      stopping = true;
      await running.disposeAsync();
    },
  };
}

function readinessOf(stopping: boolean, keeper: InventoryKeeper) {
  const { trouble } = keeper.saving;
  const reasons = [
    ...(stopping ? ["the seeder is stopping"] : []),
    ...(trouble === undefined ? [] : [`the inventory cannot be saved: ${trouble}`]),
  ];
  return { ready: reasons.length === 0, reasons };
}

/** The API's URL, with the machine's name for a listener on all addresses. */
function reachedAt(url: string): string {
  const everywhere = /^http:\/\/(0\.0\.0\.0|\[::\]):(\d+)/.exec(url);
  return everywhere ? httpUrlOf(hostname(), Number(everywhere[2])) : url;
}

function servedBy(parts: SeederParts, config: SeederConfig, log: Log) {
  const { swarm, roster, catalog, keeper, importer, metrics, fallback, dashboard } = parts;
  const { advertiseHost } = config.swarm;
  const places = new SeederPlaces(roster, { host: advertiseHost, dhtPort: swarm.dhtPort, peerPort: swarm.peerPort });
  const messageOf = (image: Image) => imageMessage(image, places.whereabouts(image.digest));
  const catalogService = createCatalogService({ catalog, importer, roster, messageOf });
  const inventoryParts: InventoryServiceParts = {
    keeper,
    catalog,
    endpoints: () => places.endpoints(),
    seederUrls: (from) => places.urlsFor(from),
    nowMs: Date.now,
    random: Math.random,
    onReport: metrics.reported,
    onDiverged: metrics.diverged,
    onNodeReport: (report) => dashboard.reported(report),
    prefetches: parts.prefetches,
  };
  const inventoryService = createInventoryService(inventoryParts);
  const prefetchService = createPrefetchService({
    ...{ prefetches: parts.prefetches, catalog, inventory: keeper.inventory, config: config.prefetch, nowMs: Date.now },
  });
  const sent = (bytes: number, mode: FallbackMode | undefined) => {
    dashboard.originSent(bytes);
    metrics.originSent(bytes, mode);
  };
  const origin = createOrigin({
    catalog,
    publisher: catalog,
    toJson: ({ image }) => toJsonString(ImageSchema, messageOf(image)),
    takenElsewhere: (name) => catalog.boot.checkedElsewhere(name),
    checkReplicas: (wanted) => checkWanted(roster, wanted),
    awaitReplicas: async (image, wanted, timeoutMs, signal) => {
      for await (const _progress of awaitCopies(roster, image, wanted, timeoutMs, signal));
    },
    upload: { idleTimeoutMs: config.upload.idleTimeoutMs, onEnd: metrics.uploadEnded },
    download: { idleTimeoutMs: config.download.idleTimeoutMs, onSent: sent },
    fallback,
    onAnswered: metrics.originAnswered,
    log,
  });
  const web = createWeb(log);
  return {
    routes: (router: Parameters<Parameters<typeof openListener>[0]["routes"]>[0]) => {
      router.service(CatalogService, catalogService);
      router.service(InventoryService, inventoryService);
      router.service(DashboardService, createDashboardService(dashboard));
      router.service(PlacementService, parts.placement);
      router.service(PrefetchService, prefetchService);
    },
    // Nodes make this call hundreds of times a second, all others rarely.
    shortcut: unaryShortcut(InventoryService.method.report, reportAnswerer(inventoryParts)),
    http: (request: Request, response: Response) => origin(request, response) || web(request, response),
  };
}
