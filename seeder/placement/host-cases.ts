/**
 * What the inventory and the launches of late say of hosts, as far as it matters to a launch of one image. Of thousands of
 * hosts most are alike - they have the image or not, and fetch none, one or two others - so hosts of which the same counts
 * share one case, which is weighed and put into words once. A host that fetches the image, or was launched on of late, has
 * a case of its own.
 */
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Inventory } from "../inventory/inventory.ts";
import { isActive, type NodeRecord, stateOf } from "../inventory/node-view.ts";
import type { ImagePart } from "./readiness.ts";
import type { RecentLaunches } from "./recent-launches.ts";
import type { HostCase } from "./weigh.ts";

/** A node, as the inventory keeps it. */
export type PlacedNode = Readonly<NodeRecord>;

/** The image that is to be launched. */
export interface LaunchedImage {
  digest: string;
  /** Of its boot image; undefined if it has none. */
  bootDigest: string | undefined;
}

/** What a node has complete. */
export interface HeldParts {
  image: boolean;
  bootImage: boolean;
}

/** Bytes a second at which a whole image is compared with its sha256: what one core of an older machine does. */
const hashedBytesPerSecond = 400e6;

const cached: ImagePart = { kind: "cached" };
const expected: ImagePart = { kind: "expected" };
const absent: ImagePart = { kind: "absent" };

/** What is noted of a node by its slot. */
const holdsImage = 1;
const holdsBootImage = 2;
/** What counts of the node is to be read from its own record. */
const isParticular = 4;

/** The cases of one request's hosts. */
export class HostCases {
  readonly cases: HostCase[] = [];
  readonly #inventory: Inventory;
  readonly #image: LaunchedImage;
  readonly #launches: RecentLaunches;
  readonly #nowMs: number;
  /** By slot. */
  readonly #notes: Uint8Array;
  /** Numbers of the cases that hosts share, by what they share. */
  readonly #shared = new Map<number, number>();
  #unknown: number | undefined;

  constructor(inventory: Inventory, image: LaunchedImage, launches: RecentLaunches, nowMs: number) {
    this.#inventory = inventory;
    this.#image = image;
    this.#launches = launches;
    this.#nowMs = nowMs;
    this.#notes = new Uint8Array(inventory.columns.size);
    this.#note(image.digest, holdsImage);
    if (image.bootDigest !== undefined) this.#note(image.bootDigest, holdsBootImage);
    for (const id of launches.nodeIds()) {
      const slot = inventory.slotOf(id);
      if (slot >= 0) this.#notes[slot] = (this.#notes[slot] as number) | isParticular;
    }
  }

  /** The case of the node in a slot, by its number. */
  of(slot: number): number {
    const notes = this.#notes[slot] as number;
    if (notes >= isParticular) return this.#add(this.#particular(slot, notes));
    const { columns } = this.#inventory;
    const isUp = this.#inventory.isUp(slot, this.#nowMs);
    const fetches = isUp ? columns.activeFetches(slot) : 0;
    const key = (fetches << 3) | (isUp ? 4 : 0) | notes;
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const number = this.#add({
      standing: isUp ? "up" : "lost",
      part: notes & holdsImage ? cached : absent,
      hasBootImage: (notes & holdsBootImage) !== 0,
      recentLaunches: 0,
      otherFetches: fetches,
    });
    this.#shared.set(key, number);
    return number;
  }

  /** The case of hosts that no node answers to. */
  unknown(): number {
    this.#unknown ??= this.#add(unknownCase());
    return this.#unknown;
  }

  /** The case of a host of which it is not clear what it is; `note` says why. */
  unclear(note: string): number {
    return this.#add(unknownCase(note));
  }

  #note(digest: string, held: number): void {
    const notes = this.#notes;
    const { holding, fetching } = this.#inventory.recordsOf(digest);
    for (const { slot } of holding) notes[slot] = (notes[slot] as number) | held;
    for (const { slot } of fetching) notes[slot] = (notes[slot] as number) | isParticular;
  }

  #particular(slot: number, notes: number): HostCase {
    const placed = this.#inventory.columns.records[slot] as PlacedNode;
    const held = { image: (notes & holdsImage) !== 0, bootImage: (notes & holdsBootImage) !== 0 };
    return hostCaseOf(placed, held, this.#image, this.#launches, this.#nowMs);
  }

  #add(facts: HostCase): number {
    return this.cases.push(facts) - 1;
  }
}

/** What counts of one node. */
export function hostCaseOf(
  placed: PlacedNode,
  held: HeldParts,
  image: LaunchedImage,
  launches: RecentLaunches,
  nowMs: number,
): HostCase {
  const { node, fetches } = placed;
  const standing = stateOf(placed, nowMs);
  let part = held.image ? cached : absent;
  let otherFetches = 0;
  if (standing === "up") {
    for (const fetch of fetches) {
      if (fetch.digest === image.digest) part = part === cached ? cached : partOfFetch(fetch);
      else if (isActive(fetch) && fetch.digest !== image.bootDigest) otherFetches++;
    }
  }
  if (part === absent && launches.isExpected(node.id, image.digest, nowMs)) part = expected;
  const recentLaunches = launches.launchesOn(node.id, nowMs);
  return { standing, part, hasBootImage: held.bootImage, recentLaunches, otherFetches };
}

function unknownCase(note?: string): HostCase {
  return { standing: "unknown", part: absent, hasBootImage: false, recentLaunches: 0, otherFetches: 0, note };
}

function partOfFetch(fetch: Fetch): ImagePart {
  const sizeBytes = Number(fetch.sizeBytes);
  const fraction = sizeBytes > 0 ? Math.min(1, Number(fetch.doneBytes) / sizeBytes) : 0;
  switch (fetch.state) {
    case FetchState.ACTIVE:
      return { kind: "active", fraction, etaSeconds: fetch.etaSeconds };
    case FetchState.VERIFYING:
      return { kind: "active", fraction: 1, etaSeconds: sizeBytes / hashedBytesPerSecond };
    case FetchState.PAUSED:
      return { kind: "paused", fraction };
    default:
      return { kind: "queued", fraction };
  }
}
