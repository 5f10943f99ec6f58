/** A seeder in this process, with simulated nodes that keep it busy: what the pictures are of. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { loadConfig } from "../../daemon/config.ts";
import { createLog } from "../../daemon/log.ts";
import { FetchPriority, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { PlacementService } from "../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { seederConfigSchema } from "../../seeder/config.ts";
import { openSeeder } from "../../seeder/seeder.ts";
import { type SimulatedImage, type SimulatedNode, SimulatedSite } from "../fixtures/simulated-site.ts";

const mebibyte = 1024 ** 2;
const names = [
  ...["debian-12", "ubuntu-24.04", "rocky-9", "windows-2022", "fedora-41", "debian-11", "k8s-worker-1.31", "ci-runner"],
  ...["postgres-16", "gpu-cuda-12", "opensuse-15.6", "bastion", "alpine-3.20", "freebsd-14"],
];
const launchesRecorded = 120;

export interface SceneOptions {
  nodes: number;
  zones: number;
  images: number;
  /** How long the site has been at work when the pictures are taken. */
  seconds: number;
}

export interface Scene extends AsyncDisposable {
  url: string;
  /** The site at work, for so many seconds. */
  work(seconds: number): Promise<void>;
}

export async function openScene(options: SceneOptions): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "bootswarm-screenshots-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const config = loadConfig(seederConfigSchema, {
    settings: {
      ...{ listen: "127.0.0.1:0", "swarm.port": 0, "dht.port": 0, dataDirectory: join(folder, "seeder") },
      "prefetch.planIntervalMs": 2_000,
    },
  });
  const seeder = stack.adopt(await openSeeder(config, createLog({ level: "error", name: "seeder" })), (it) =>
    it.close(),
  );
  const images = await publishImages(seeder.url, options.images);
  const site = new SimulatedSite(seeder.url, {
    ...{ nodes: options.nodes, zones: options.zones, images, seed: 11, linkBytesPerSecond: 1.2 * mebibyte },
    // Long enough for the busiest machine to report for all nodes in between.
    reportIntervalMs: 60_000,
  });
  for (const node of lostOf(site.nodes)) node.reportIntervalMs = 2_000;
  site.fill(0.96, options.images > 20 ? 0.95 : 0.84);
  await site.report();
  await recordLaunches(seeder.url, site, images);
  const director = new Director(site, images);
  const running = stack.move();
  return {
    url: seeder.url,
    async work(seconds) {
      for (let second = 0; second < seconds; second++) {
        const startMs = performance.now();
        director.second();
        await site.report(director.busyNodes());
        await delay(Math.max(0, 1_000 - (performance.now() - startMs)));
      }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function publishImages(url: string, count: number): Promise<SimulatedImage[]> {
  const images: SimulatedImage[] = [];
  for (let rank = 0; rank < count; rank++) {
    const name = names[rank] ?? `team-${String.fromCharCode(97 + (rank % 26))}-app-${rank}`;
    const body = Buffer.alloc((6 + ((rank * 7) % 11) * 4) * mebibyte, name);
    const { ok, status } = await fetch(`${url}/images/${name}`, { method: "PUT", body });
    if (!ok) throw new Error(`publishing ${name} was answered ${status}`);
    images.push({ digest: createHash("sha256").update(body).digest("hex"), name, sizeBytes: body.length });
  }
  return images;
}

/** The nodes that fall silent. */
function lostOf(nodes: readonly SimulatedNode[]): SimulatedNode[] {
  const last = Math.floor(nodes.length * 0.9);
  return nodes.slice(last + 1 - Math.max(2, Math.ceil(nodes.length / 500)), last + 1);
}

/** Few images have most of the launches. */
async function recordLaunches(url: string, site: SimulatedSite, images: readonly SimulatedImage[]): Promise<void> {
  const placement = createClient(PlacementService, createConnectTransport({ baseUrl: url, httpVersion: "2" }));
  for (let launch = 0; launch < launchesRecorded; launch++) {
    const rank = Math.floor(images.length ** ((launch * 0.618) % 1)) - 1;
    const node = site.nodes[(launch * 37) % site.nodes.length];
    await placement.recordLaunch({ image: images[rank]?.digest ?? "", host: node?.id ?? "" });
  }
}

/** What happens at the site, second by second: rollouts in waves, and a few things that go wrong. */
class Director {
  readonly #site: SimulatedSite;
  readonly #images: readonly SimulatedImage[];
  #second = 0;

  constructor(site: SimulatedSite, images: readonly SimulatedImage[]) {
    this.#site = site;
    this.#images = images;
  }

  second(): void {
    const { nodes } = this.#site;
    const at = this.#second++;
    if (at % 12 === 1) this.#wave(at / 12);
    if (at === 4) this.#trouble();
    if (at % 40 === 20) for (const node of nodes.slice(8, 10)) node.held.delete(this.#images[1]!);
    if (at === 15) for (const node of nodes.slice(20, 22)) node.pieceVerifyFailures += 3;
    this.#site.step(1);
  }

  /** Those that have something to tell; the others now and then, so that they are not lost. */
  busyNodes() {
    const turn = this.#second % 4;
    return this.#site.nodes.filter(
      ({ fetches, sequence }, index) => fetches.length > 0 || sequence < 2 || index % 4 === turn,
    );
  }

  #wave(number: number): void {
    const image = (offset: number) => this.#images[(Math.floor(number) * 3 + offset) % this.#images.length]!;
    this.#site.roll(image(3), 0.6, FetchPriority.ENSURE, 0.1);
    this.#site.roll(image(6), 0.25, FetchPriority.DEMAND);
    this.#site.roll(image(9), 0.1, FetchPriority.PREFETCH);
  }

  #trouble(): void {
    const { nodes } = this.#site;
    const some = (part: number) => nodes[Math.floor(nodes.length * part)]!;
    for (const node of lostOf(nodes)) node.silent = true;
    some(0.4).speed = 0.1;
    some(0.7).speed = 0;
    const full = nodes.find(({ fetches }) => fetches.length > 0);
    if (!full?.fetches[0]) return;
    Object.assign(full.fetches[0], {
      state: FetchState.PAUSED,
      error: "the disk of /var/lib/bootswarm/node is full: 0 of 894 GiB are free; make room, and it goes on by itself",
    });
  }
}
