/**
 * The experiment without a lab: the seeder's own weights, and images that flow as they would over ideal links. Pure.
 *
 * Its hundreds of traces say what a scheduler's rule is worth where the lab's few leave it open. An image flows at the
 * node's link rate, shared by what else comes to the node, and no faster than its sources send: by HTTP the seeder alone,
 * shared by all; by BitTorrent the seeder and every node that has it, each shared by the images it is asked for, and what
 * has come to one is passed on by it, so that those who fetch the same do not take it from each other. Nothing else takes
 * time: no protocol, no hash, no processor. The inventory knows all at once.
 */
import { RecentLaunches } from "../../../seeder/placement/recent-launches.ts";
import { type HostFacts, type WeighOptions, weighHosts } from "../../../seeder/placement/weigh.ts";
import { Random } from "../../sim/random.ts";
import { Hosts } from "./hosts.ts";
import type { Found, VmRecord } from "./results.ts";
import type { Arrival } from "./trace.ts";

export interface ModelOptions {
  nodes: number;
  images: number;
  vmsPerHostMax: number;
  /** Seconds that an image takes at a link's rate. */
  transferSeconds: number;
  torrents: boolean;
  /** undefined: a host at random. */
  weighing: WeighOptions | undefined;
  launchHalfLifeMs: number;
}

export interface ModelResult {
  vms: VmRecord[];
  turnedAway: number;
  copiesAtEnd: number;
}

interface Flow {
  host: string;
  image: number;
  /** In seconds at a link's rate. */
  left: number;
  waiting: VmRecord[];
}

/** Plays a trace. Times are the trace's. */
export function playModel(trace: readonly Arrival[], options: ModelOptions, seed: number): ModelResult {
  return new Model(options, seed).play(trace);
}

class Model {
  readonly #options: ModelOptions;
  readonly #random: Random;
  readonly #names: string[];
  readonly #hosts: Hosts;
  readonly #launches: RecentLaunches;
  /** Hosts that have an image, by image. */
  readonly #holders: Set<string>[];
  readonly #vms: VmRecord[] = [];
  #flows: Flow[] = [];
  #ends: { atSeconds: number; host: string }[] = [];
  #nowSeconds = 0;
  #turnedAway = 0;

  constructor(options: ModelOptions, seed: number) {
    this.#options = options;
    this.#random = new Random(seed);
    this.#names = Array.from({ length: options.nodes }, (_, index) => `node-${index + 1}`);
    this.#hosts = new Hosts(this.#names, options.vmsPerHostMax);
    this.#launches = new RecentLaunches(options.launchHalfLifeMs);
    this.#holders = Array.from({ length: options.images }, () => new Set());
  }

  play(trace: readonly Arrival[]): ModelResult {
    for (const arrival of trace) {
      this.#flowUntil(arrival.atSeconds);
      this.#arrive(arrival);
    }
    this.#flowUntil(Number.POSITIVE_INFINITY);
    const copiesAtEnd = this.#holders.reduce((sum, { size }) => sum + size, 0);
    return { vms: this.#vms, turnedAway: this.#turnedAway, copiesAtEnd };
  }

  #arrive({ atSeconds, image, livesSeconds }: Arrival): void {
    for (const { host } of this.#ends.filter((end) => end.atSeconds <= atSeconds)) this.#hosts.end(host);
    this.#ends = this.#ends.filter((end) => end.atSeconds > atSeconds);
    const withRoom = this.#hosts.withRoom();
    if (withRoom.length === 0) {
      this.#turnedAway++;
      return;
    }
    const host = this.#choose(withRoom, image);
    this.#hosts.start(host);
    this.#launches.record({ digest: String(image), nodeId: host, atMs: atSeconds * 1_000, count: 1 });
    if (Number.isFinite(livesSeconds)) this.#ends.push({ atSeconds: atSeconds + livesSeconds, host });
    const flow = this.#flows.find((each) => each.host === host && each.image === image);
    const found: Found = this.#holders[image]!.has(host) ? "cached" : flow ? "in flight" : "absent";
    const vm: VmRecord = { atSeconds, image: String(image), host, found, seconds: 0 };
    this.#vms.push(vm);
    if (flow) flow.waiting.push(vm);
    else if (found === "absent") this.#flows.push({ host, image, left: this.#options.transferSeconds, waiting: [vm] });
  }

  #choose(withRoom: readonly string[], image: number): string {
    const { weighing } = this.#options;
    if (!weighing) return this.#random.pick(withRoom);
    const rates = this.#rates();
    const facts = withRoom.map((host) => this.#factsOf(host, image, rates));
    return weighHosts(facts, weighing, BigInt(this.#random.word()))[0]!.facts.host;
  }

  #factsOf(host: string, image: number, rates: readonly number[]): HostFacts {
    const at = this.#flows.findIndex((each) => each.host === host && each.image === image);
    const flow = this.#flows[at];
    const fraction = flow ? 1 - flow.left / this.#options.transferSeconds : 0;
    const etaSeconds = flow && Math.ceil(flow.left / rates[at]!);
    const isCached = this.#holders[image]!.has(host);
    return {
      host,
      standing: "up",
      part: isCached ? { kind: "cached" } : flow ? { kind: "active", fraction, etaSeconds } : { kind: "absent" },
      hasBootImage: false,
      recentLaunches: this.#launches.launchesOn(host, this.#nowSeconds * 1_000),
      otherFetches: this.#flows.filter((each) => each.host === host && each.image !== image).length,
    };
  }

  /** Lets images flow, with new rates whenever one has come. */
  #flowUntil(atSeconds: number): void {
    while (this.#flows.length > 0) {
      const rates = this.#rates();
      const nextSeconds = Math.min(...this.#flows.map(({ left }, index) => left / rates[index]!));
      const passed = Math.min(nextSeconds, atSeconds - this.#nowSeconds);
      for (const [index, flow] of this.#flows.entries()) flow.left -= passed * rates[index]!;
      this.#nowSeconds += passed;
      if (nextSeconds > passed) break;
      for (const flow of this.#flows.filter(hasCome)) this.#come(flow);
      this.#flows = this.#flows.filter((flow) => !hasCome(flow));
    }
    if (Number.isFinite(atSeconds)) this.#nowSeconds = atSeconds;
  }

  #come({ host, image, waiting }: Flow): void {
    this.#holders[image]!.add(host);
    for (const vm of waiting) vm.seconds = this.#nowSeconds - vm.atSeconds;
  }

  /** Of each flow, as a share of a link's rate. */
  #rates(): number[] {
    const wanted = new Set(this.#flows.map(({ image }) => image));
    const imagesFrom = (host: string) => [...wanted].filter((image) => this.#holders[image]!.has(host)).length;
    return this.#flows.map(({ host, image }) => {
      const down = 1 / this.#flows.filter((each) => each.host === host).length;
      if (!this.#options.torrents) return Math.min(down, 1 / this.#flows.length);
      const fromHolders = [...this.#holders[image]!].reduce((sum, holder) => sum + 1 / imagesFrom(holder), 0);
      return Math.min(down, 1 / wanted.size + fromHolders);
    });
  }
}

/** What is left by rounding. */
function hasCome({ left }: Flow): boolean {
  return left < 1e-9;
}
