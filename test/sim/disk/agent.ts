/** An agent's cache, fetches and seeding as agent.ts wires them, on a simulated disk and in simulated time. */
import { ImageCache } from "../../../agent/cache/image-cache.ts";
import { InUse } from "../../../agent/cache/in-use.ts";
import { stateLayout } from "../../../agent/cache/layout.ts";
import type { Catalog } from "../../../agent/catalog/catalog.ts";
import { agentConfigSchema } from "../../../agent/config.ts";
import { Fetches } from "../../../agent/fetch/fetches.ts";
import type { HttpOrigin } from "../../../agent/fetch/http-origin.ts";
import { Images } from "../../../agent/images.ts";
import { Leases } from "../../../agent/leases.ts";
import type { Damage } from "../../../agent/scrub/check-image.ts";
import { Repairs } from "../../../agent/scrub/repairs.ts";
import { Scrubber } from "../../../agent/scrub/scrubber.ts";
import { Seeding } from "../../../agent/seeding/seeding.ts";
import { Space } from "../../../agent/space.ts";
import { createLog, type Log } from "../../../daemon/log.ts";
import { Problem } from "../../../daemon/problem.ts";
import { Serial } from "../../../daemon/serial.ts";
import type { Swarm } from "../../../swarm/swarm.ts";
import type { Clock } from "../../../swarm/types.ts";
import type { EventQueue } from "../event-queue.ts";
import type { Random } from "../random.ts";
import type { SimDisk } from "./disk.ts";
import type { SimImage } from "./images.ts";
import { PieceSwarm } from "./piece-swarm.ts";

export const stateDirectory = "/state";
/** Simulated lives are short. */
export const prefetchGraceMs = 5_000;
/** A chunk of an HTTP answer, and how long it takes. */
const chunkBytes = 64 * 1024;
const chunkMs = 80;

export interface SimWorld {
  queue: EventQueue;
  disk: SimDisk;
  random: Random;
  images: readonly SimImage[];
  onPiece: (image: SimImage, index: number) => void;
  /** cache.quotaBytes; 0 is no limit. */
  quotaBytes?: number;
  log?: Log;
}

export interface SimAgent {
  cache: ImageCache;
  fetches: Fetches;
  images: Images;
  inUse: InUse;
  /** Checks a complete image, and has it repaired: what is wrong with it, once its repair has begun. */
  scrub(digest: string): Promise<Damage | undefined>;
  /** Stops it as SIGTERM would. */
  close(): Promise<void>;
  /** Nothing of it runs any more; what happens to the disk is the caller's. */
  die(): void;
}

/** Starts an agent on what the disk holds. */
export async function bootAgent(world: SimWorld): Promise<SimAgent> {
  const { queue, images: catalogue, random } = world;
  const disk = world.disk.disk;
  const log = world.log ?? createLog({ level: "silent", name: "sim" });
  const { clock, die } = mortalClock(queue);
  const now = () => new Date(Date.UTC(2026, 0, 1) + Math.floor(clock.now()));
  const config = agentConfigSchema.parse({});
  const cache = await ImageCache.open(stateLayout(stateDirectory, disk), now, log);
  const pieces = new PieceSwarm({ images: catalogue, disk, clock, random, log, onPiece: world.onPiece });
  const swarm = pieces as unknown as Swarm;
  const seederPeers = () => [];
  const seeding = new Seeding({ cache, swarm, seederPeers, clock, log });
  const inUse = new InUse();
  const rules = { ...config.cache, quotaBytes: world.quotaBytes ?? 0, freeFloorBytes: 0, prefetchGraceMs };
  const space = new Space({
    cache,
    inUse,
    rules,
    seeding,
    onEvicted: () => {},
    onPrefetchUsed: () => {},
    clock,
    now,
    log,
  });
  const changing = new Serial();
  const origin = originOf(catalogue, clock) as unknown as HttpOrigin;
  const fetches = new Fetches({
    tools: {
      ...{ cache, swarm, origin, seederPeers, clock, now, log },
      // Pieces come from the swarm alone, however long that takes.
      rules: { ...config.fetch, swarmPatienceMs: 1e9, stallMs: 1e9, demandPatienceMs: 1e9 },
      random: () => random.next(),
    },
    ...{ concurrency: 3, queueMax: 10, prefetchBytesPerSecondMax: 0, whenFull: "refuse", space, changing },
    isBooting: () => false,
    onYielded: () => {},
    onEnded: (fetch) => {
      if (fetch.state === "ready") seeding.consider(fetch.digest);
    },
  });
  const catalog = catalogOf(catalogue) as Catalog;
  const seeders = { reachable: true };
  const leases = new Leases({ cache, inUse, clock, now, log });
  const repairs = new Repairs({ cache, fetches, seeding, changing, onDamage: () => {}, onRepair: () => {}, now, log });
  const images = new Images({
    ...{ cache, fetches, seeding, space, inUse, leases, repairs, changing, catalog, seeders, now, log },
  });
  const scrubber = new Scrubber({ cache, repairs, rules: config.scrub, onBytes: () => {}, clock, now, log });
  const closing = new AbortController();
  const scrub = async (digest: string) => {
    const damage = await scrubber.check(digest, () => {}, closing.signal);
    if (damage) await repairs.begin(digest, damage);
    return damage;
  };
  await fetches.resume();
  for (const { record } of images.list()) seeding.consider(record.digest);
  const close = async () => {
    closing.abort();
    leases.close();
    await fetches.close();
    await seeding.close();
    await pieces.close();
    die();
  };
  return { cache, fetches, images, inUse, scrub, close, die };
}

/** A clock that stops for its owner alone. */
function mortalClock(queue: EventQueue): { clock: Clock; die: () => void } {
  let isDead = false;
  const clock: Clock = {
    now: () => queue.nowMs,
    after: (delayMs, run) => queue.after(delayMs, () => (isDead ? undefined : run())),
  };
  return {
    clock,
    die: () => {
      isDead = true;
    },
  };
}

function catalogOf(images: readonly SimImage[]): Pick<Catalog, "getImage"> {
  return {
    getImage: async (asked) => {
      const found = images.find(({ facts }) => facts.digest === asked || facts.names.includes(asked));
      if (!found) throw new Problem("not-found", `there is no image "${asked}"`);
      return found.facts;
    },
  };
}

function originOf(images: readonly SimImage[], clock: Clock): Pick<HttpOrigin, "open" | "receivedBytes"> {
  return {
    receivedBytes: 0,
    open: async ({ digest }, offset) => {
      const { bytes } = images.find(({ facts }) => facts.digest === digest) as SimImage;
      return { offset, chunks: chunksFrom(bytes, offset, clock) };
    },
  };
}

async function* chunksFrom(bytes: Buffer, offset: number, clock: Clock): AsyncGenerator<Buffer> {
  for (let at = offset; at < bytes.length; at += chunkBytes) {
    await new Promise<void>((resolve) => clock.after(chunkMs, resolve));
    yield bytes.subarray(at, at + chunkBytes);
  }
}
