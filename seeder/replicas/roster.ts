/** Which seeders share the catalog, which of them live, and who holds what: as the store said last, and this one itself. */
import { Problem } from "../../daemon/problem.ts";
import type { Endpoint } from "../../swarm/types.ts";
import type { CopyProgress, ReplicaRecord, ReplicaStore } from "../store/replica-store.ts";

/** A seeder that has not moved for so long is taken to be away: ten turns of its heart, and of ours. */
export const leaseMs = 10_000;

/** What a seeder says of itself. */
export type SelfFacts = Omit<ReplicaRecord, "beat" | "seenAtMs">;

export interface ReplicaView extends ReplicaRecord {
  state: "up" | "lost";
  isSelf: boolean;
  /** Digests of the images that it holds. */
  images: ReadonlySet<string>;
}

export interface RosterOptions {
  store: ReplicaStore;
  /** What there is to say of this seeder now. */
  self: () => Promise<SelfFacts>;
  /** Digests of what this seeder holds. */
  held: () => ReadonlySet<string>;
  /** Milliseconds that never go back. */
  nowMs: () => number;
  /** Milliseconds since 1970. */
  timeMs: () => number;
  /** Uniform in [0, 1). */
  random: () => number;
}

interface Known {
  record: ReplicaRecord;
  /** When it last moved, by our clock; undefined if we have not seen it move. */
  movedAtMs: number | undefined;
}

export class Roster {
  readonly #options: RosterOptions;
  #self: ReplicaRecord;
  #others = new Map<string, Known>();
  #heldByOthers = new Map<string, Set<string>>();
  #copiesVersion = -1;
  #looking: Promise<unknown> = Promise.resolve();
  #lookToCome: Promise<number> | undefined;

  private constructor(options: RosterOptions, self: ReplicaRecord) {
    this.#options = options;
    this.#self = self;
  }

  /** Opens the roster; with it alone, this seeder is the only one. */
  static async open(options: RosterOptions): Promise<Roster> {
    return new Roster(options, { ...(await options.self()), beat: 0, seenAtMs: options.timeMs() });
  }

  get selfId(): string {
    return this.#self.id;
  }

  /** Says that this seeder lives, and looks who else does. The version of the catalog as of now. */
  async beat(): Promise<number> {
    const { store } = this.#options;
    await this.describe();
    await store.saveReplica(this.#self);
    return await this.look();
  }

  /** Looks at what there is to say of this seeder. */
  async describe(): Promise<void> {
    const { self, timeMs } = this.#options;
    const facts = await self();
    this.#self = { ...facts, beat: Math.max(this.#self.beat + 1, timeMs()), seenAtMs: timeMs() };
  }

  /**
   * Looks now who is there and holds what, for what cannot wait for the next beat. The version of the catalog.
   *
   * One look at a time: what an earlier one read must not take the place of what a later one did. Who asks while others look
   * has one that begins after that, together with all who ask meanwhile.
   */
  look(): Promise<number> {
    this.#lookToCome ??= this.#looking.then(() => {
      this.#lookToCome = undefined;
      const looking = this.#lookAtAll();
      this.#looking = looking.catch(() => {});
      return looking;
    });
    return this.#lookToCome;
  }

  /** The version of the catalog. */
  async #lookAtAll(): Promise<number> {
    const { store } = this.#options;
    this.#see(await store.listReplicas());
    const { catalog, copies } = await store.versions();
    if (copies === this.#copiesVersion) return catalog;
    const byDigest = await store.listCopies();
    this.#heldByOthers = new Map();
    for (const [digest, ids] of byDigest) {
      for (const id of ids) this.#heldBy(id).add(digest);
    }
    this.#copiesVersion = copies;
    return catalog;
  }

  /** All seeders, this one first. */
  list(): ReplicaView[] {
    const nowMs = this.#options.nowMs();
    const { timeMs, held } = this.#options;
    const self = { ...this.#self, state: "up" as const, isSelf: true, seenAtMs: timeMs(), images: held() };
    const others = [...this.#others.values()].map(({ record, movedAtMs }): ReplicaView => {
      const isUp = movedAtMs !== undefined && nowMs - movedAtMs < leaseMs;
      return { ...record, state: isUp ? "up" : "lost", isSelf: false, images: this.#heldBy(record.id) };
    });
    return [self, ...others];
  }

  live(): ReplicaView[] {
    return this.list().filter(({ state }) => state === "up");
  }

  /** Live seeders that hold an image. */
  holders(digest: string): ReplicaView[] {
    return this.live().filter(({ images }) => images.has(digest));
  }

  /** How many live seeders hold an image, and how many that are away. */
  counts(digest: string): { replicas: number; away: number } {
    const all = this.list().filter(({ images }) => images.has(digest));
    const replicas = all.filter(({ state }) => state === "up").length;
    return { replicas, away: all.length - replicas };
  }

  /** One of the other live seeders that hold an image and can be reached; undefined if there is none. */
  someHolder(digest: string): ReplicaView | undefined {
    const others = this.holders(digest).filter(({ isSelf, url }) => !isSelf && url !== "");
    return others[Math.floor(this.#options.random() * others.length)];
  }

  /** Where the other live seeders serve peers. */
  peers(): Endpoint[] {
    return this.live()
      .filter(({ isSelf }) => !isSelf)
      .map(({ host, peerPort }) => ({ host, port: peerPort }));
  }

  /**
   * Forgets a seeder that is away, by its id or URL.
   *
   * @throws Problem "not-found", or "conflict" if it is live or several have that URL.
   */
  async forget(idOrUrl: string): Promise<ReplicaView> {
    const meant = this.list().filter(({ id, url }) => id === idOrUrl || (url !== "" && url === idOrUrl));
    const lost = meant.filter(({ state }) => state === "lost");
    const [found] = lost;
    if (meant.length === 0) {
      throw new Problem("not-found", `there is no seeder "${idOrUrl.slice(0, 80)}"; \`bootswarm replicas\` lists them`);
    }
    if (!found) throw new Problem("conflict", `the seeder ${idOrUrl} is live; stop it first`);
    if (lost.length > 1) throw new Problem("conflict", `several seeders were at ${idOrUrl}; name one by its id`);
    await this.#options.store.removeReplica(found.id);
    await this.beat();
    return found;
  }

  /** Which of the digests that this seeder holds the store does not know of: saying so failed, or another said otherwise. */
  unsaid(held: ReadonlySet<string>): string[] {
    const said = this.#heldBy(this.#self.id);
    return [...held].filter((digest) => !said.has(digest));
  }

  #heldBy(id: string): Set<string> {
    let held = this.#heldByOthers.get(id);
    if (!held) {
      held = new Set();
      this.#heldByOthers.set(id, held);
    }
    return held;
  }

  #see(records: readonly ReplicaRecord[]): void {
    const { nowMs, timeMs } = this.#options;
    const seen = new Map<string, Known>();
    for (const record of records) {
      if (record.id === this.#self.id) continue;
      const before = this.#others.get(record.id);
      // Of one that we see for the first time, its own word has to do.
      const hasMoved = before ? before.record.beat !== record.beat : Math.abs(timeMs() - record.seenAtMs) < leaseMs;
      seen.set(record.id, { record, movedAtMs: hasMoved ? nowMs() : before?.movedAtMs });
    }
    this.#others = seen;
  }
}

/** How far the others are with an image. */
export function copiesUnderWay(replicas: readonly ReplicaView[], digest: string): CopyProgress[] {
  return replicas.flatMap(({ fetches }) => fetches.filter((each) => each.digest === digest));
}
