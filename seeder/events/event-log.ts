/** The last things that happened, in memory. Pure; the time comes with each call. */
import { BoardEventKind } from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";

/** Events kept: some hours of an ordinary day, and more than anybody scrolls through. */
const eventsMax = 500;
/** The same on another node within this time is one event with a count: a rollout would push all else out. */
const togetherMs = 30_000;
/** Events still open for more of the same, at once. */
const openMax = 256;

export interface SiteEvent {
  /** From 1; an event that happens on more nodes keeps its number. */
  number: number;
  kind: BoardEventKind;
  /** When it happened last. */
  atMs: number;
  /** The first node, if it is about nodes. */
  node: { id: string; name: string } | undefined;
  image: { digest: string; name: string } | undefined;
  /** How often it happened. */
  count: number;
  text: string;
}

export interface Happening {
  kind: BoardEventKind;
  node?: { id: string; name: string };
  image?: { digest: string; name: string };
  count?: number;
  text?: string;
}

/** Kinds of which each is its own. */
const alone = new Set([BoardEventKind.PUBLISHED, BoardEventKind.RETIRED]);

export class EventLog {
  readonly #events = new Map<number, SiteEvent>();
  /** By what they have in common. */
  readonly #open = new Map<string, SiteEvent>();
  #changed = new Map<number, SiteEvent>();
  #last = 0;

  record(happening: Happening, nowMs: number): void {
    const { kind, node, image, count = 1, text = "" } = happening;
    const key = togetherKey(happening);
    const open = this.#open.get(key);
    if (open && nowMs - open.atMs <= togetherMs && !alone.has(kind)) {
      open.atMs = nowMs;
      open.count += count;
      this.#changed.set(open.number, open);
      return;
    }
    const event: SiteEvent = { number: ++this.#last, kind, atMs: nowMs, node, image, count, text };
    this.#events.set(event.number, event);
    this.#changed.set(event.number, event);
    this.#open.delete(key);
    this.#open.set(key, event);
    if (this.#open.size > openMax) this.#open.delete(this.#open.keys().next().value as string);
    if (this.#events.size > eventsMax) this.#drop(this.#events.keys().next().value as number);
  }

  /** All that are kept, by number. */
  all(): SiteEvent[] {
    return [...this.#events.values()];
  }

  /** Those that are new or happened again since the last call, by number. */
  takeChanged(): SiteEvent[] {
    const changed = [...this.#changed.values()].sort((a, b) => a.number - b.number);
    this.#changed = new Map();
    return changed;
  }

  #drop(number: number): void {
    const event = this.#events.get(number);
    this.#events.delete(number);
    this.#changed.delete(number);
    // More of the same is a new event from here on: this one is no longer listed.
    for (const [key, open] of this.#open) if (open === event) this.#open.delete(key);
  }
}

/** Pieces that fail on a node say something about the node; all else that happens with an image says more about the image. */
function togetherKey({ kind, node, image }: Happening): string {
  if (kind === BoardEventKind.VERIFY_FAILED) return `${kind} ${node?.id}`;
  return `${kind} ${image?.digest ?? ""}`;
}
