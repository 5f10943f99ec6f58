/**
 * What popularity lets the seeder bring to the nodes of one zone: how many copies of which images, and which nodes get
 * the next of them. Pure, and the same for the same input, so that it can be understood afterwards.
 *
 * A further copy of an image is worth
 *
 *     launches expected x what the copy takes off the share that misses (miss-model.ts) x cost of a miss
 *
 * A miss costs the image's bytes and what a fetch costs whatever its size (as in the agents' eviction), and the copy takes
 * the image's bytes of space and of bandwidth. So the plan takes the copy that is worth most by its size, then the next
 * best, for as long as there is space and a copy spares enough launches their wait. Since each copy of an image spares
 * less than the one before, no other choice of as many bytes would spare more (but for what the last one leaves over).
 *
 * It is stable: a copy is begun where it spares `missesAvertedMin` launches in a half-life, and what is under way is
 * given up only where it spares less than half of that; and incremental: it looks at the copies that there are, whoever
 * brought them, and adds to them.
 */
import { BinaryHeap } from "./binary-heap.ts";
import { expectedWithinHalfLife } from "./decay.ts";
import { MissModel } from "./miss-model.ts";

/** What it costs to fetch an image besides its bytes, in bytes: as agents reckon (agent/cache/eviction.ts). */
const fetchCostBytes = 2 ** 30;
/** A copy under way is given up when it spares less than this part of what it had to spare to be begun. */
const keepShare = 0.5;
/** Copies looked at in one plan: a bound on its time, far beyond what bandwidth brings until the next. */
const copiesPlannedMax = 100_000;

export interface PlanRules {
  /** Share of a zone's nodes that a launch can choose among. */
  choiceShare: number;
  /** Least launches within a half-life that a copy spares their wait. */
  missesAvertedMin: number;
  /** Copies in a zone that an image has at least, if it is launched there at all that often; and at most (0: all nodes). */
  copiesMin: number;
  copiesMax: number;
  /** Most directives under way in the zone at once. */
  underWayMax: number;
}

export interface PlanNode {
  id: string;
  /** Bytes that it takes yet of what is planned for it. */
  roomBytes: number;
  /** Bytes that fit on it without anything being evicted. */
  freeBytes: number;
  /** Fetches that it has active or queued. */
  fetches: number;
}

export interface PlanImage {
  digest: string;
  sizeBytes: number;
  /** Launches in the zone, as decayed. */
  score: number;
  /** Nodes of the zone that have it. */
  copies: number;
  /** Nodes of the zone to which it is on its way; those of directives not yet begun are not among them. */
  copiesComing: number;
}

/** A directive of an earlier plan whose image is not on the node yet. */
export interface Standing {
  digest: string;
  nodeId: string;
  /** Whether the node has begun: it is counted among the copies coming. */
  isBegun: boolean;
}

export interface PlanInput {
  rules: PlanRules;
  /** Nodes of the zone that report, whether or not they allow prefetching. */
  nodeCount: number;
  /** Those that allow it. */
  nodes: readonly PlanNode[];
  images: readonly PlanImage[];
  standing: readonly Standing[];
  /** Directives of other seeders to nodes of the zone that report to them. */
  others?: readonly Standing[];
  /** Whether the node has the image, or it is on its way, or it was refused there of late. */
  isBarred: (nodeId: string, digest: string) => boolean;
}

export interface PlannedImage extends PlanImage {
  copiesWanted: number;
  /** Launches within the next half-life that miss, as things are and once the copies wanted are there. */
  missesExpected: number;
  missesExpectedThen: number;
}

export interface Planned {
  digest: string;
  nodeId: string;
  /** Launches within the next half-life that this copy spares their wait. */
  missesAverted: number;
}

export interface ZonePlan {
  /** Images with any score, most missed first. */
  images: PlannedImage[];
  /** What is to be under way: of the earlier ones those that stay, then the new ones. */
  assignments: Planned[];
  /** Of the earlier ones those that are given up. */
  withdrawn: Standing[];
}

interface Candidate {
  image: PlanImage;
  /** With those planned so far. */
  copies: number;
  /** What the next copy spares, and that by its bytes. */
  averted: number;
  density: number;
}

export function planZone(input: PlanInput): ZonePlan {
  const { rules, images } = input;
  const model = new MissModel(input.nodeCount, rules.choiceShare);
  const kept = keepStanding(input, model);
  const wanted = new Map<string, number>();
  const free = new FreeNodes(input, kept.assignments);
  const assignments = [...kept.assignments];
  const candidates = new BinaryHeap<Candidate>(
    (a, b) => b.density - a.density || (a.image.digest < b.image.digest ? -1 : 1),
  );
  for (const image of images) {
    const first = candidateOf(
      image,
      image.copies + image.copiesComing + (kept.pending.get(image.digest) ?? 0),
      model,
      rules,
    );
    if (first) candidates.push(first);
  }
  const underWayMax = rules.underWayMax - (input.others?.length ?? 0);
  let spaceBytes = input.nodes.reduce((sum, { roomBytes }) => sum + Math.max(0, roomBytes), 0);
  for (let looked = 0; looked < copiesPlannedMax; looked++) {
    const best = candidates.pop();
    if (!best) break;
    const { digest, sizeBytes } = best.image;
    // Smaller ones may fit yet.
    if (sizeBytes > spaceBytes) continue;
    if (assignments.length < underWayMax && free.count > 0) {
      const nodeId = free.take(digest, sizeBytes);
      // What no node can take must not keep others from the space.
      if (nodeId === undefined) continue;
      assignments.push({ digest, nodeId, missesAverted: best.averted });
    }
    spaceBytes -= sizeBytes;
    wanted.set(digest, best.copies + 1);
    const next = candidateOf(best.image, best.copies + 1, model, rules);
    if (next) candidates.push(next);
  }
  const planned = images.map((image) => plannedOf(image, wanted.get(image.digest), kept.pending, model));
  planned.sort((a, b) => b.missesExpected - a.missesExpected || b.score - a.score || (a.digest < b.digest ? -1 : 1));
  return { images: planned, assignments, withdrawn: kept.withdrawn };
}

/** The next copy of an image, if it is worth having. */
function candidateOf(image: PlanImage, copies: number, model: MissModel, rules: PlanRules): Candidate | undefined {
  const copiesMax = rules.copiesMax === 0 ? model.nodes : Math.min(rules.copiesMax, model.nodes);
  if (copies >= copiesMax) return undefined;
  const launches = expectedWithinHalfLife(image.score);
  const averted = launches * model.sparedByNext(copies);
  // The least copies are for images that are launched so often, however few of those launches a copy would spare.
  const counted = copies < rules.copiesMin ? launches : averted;
  if (counted < rules.missesAvertedMin) return undefined;
  const density = (averted * (image.sizeBytes + fetchCostBytes)) / Math.max(image.sizeBytes, 1);
  return { image, copies, averted, density };
}

/** What is under way goes on, unless it spares next to nothing any more; the last begun is the first given up. */
function keepStanding({ images, standing, others: elsewhere = [], rules }: PlanInput, model: MissModel) {
  const assignments: Planned[] = [];
  const withdrawn: Standing[] = [];
  /** Of those kept, and of those elsewhere, copies that are not among the copies coming. */
  const pending = new Map<string, number>();
  for (const { digest, isBegun } of elsewhere) {
    if (!isBegun) pending.set(digest, (pending.get(digest) ?? 0) + 1);
  }
  const byDigest = new Map(images.map((image) => [image.digest, image]));
  const counted = new Map<string, number>();
  const ordered = [...standing].sort((a, b) => Number(b.isBegun) - Number(a.isBegun));
  for (const { digest, isBegun } of ordered) if (isBegun) counted.set(digest, (counted.get(digest) ?? 0) + 1);
  for (const each of ordered) {
    const image = byDigest.get(each.digest);
    if (!image) {
      withdrawn.push(each);
      continue;
    }
    // Those begun are looked at as the last of the copies coming, the others as further ones.
    const others =
      image.copies + image.copiesComing - (counted.get(each.digest) ?? 0) + (pending.get(each.digest) ?? 0);
    const launches = expectedWithinHalfLife(image.score);
    const averted = launches * model.sparedByNext(others);
    const isLeast = others < rules.copiesMin && launches >= rules.missesAvertedMin * keepShare;
    if (averted < rules.missesAvertedMin * keepShare && !isLeast) {
      withdrawn.push(each);
      continue;
    }
    assignments.push({ digest: each.digest, nodeId: each.nodeId, missesAverted: averted });
    pending.set(each.digest, (pending.get(each.digest) ?? 0) + 1);
  }
  // Those begun were counted again as they were kept: what is left are copies that nobody else counts.
  for (const [digest, begun] of counted) pending.set(digest, (pending.get(digest) ?? 0) - begun);
  return { assignments, withdrawn, pending };
}

function plannedOf(
  image: PlanImage,
  wanted: number | undefined,
  pending: ReadonlyMap<string, number>,
  model: MissModel,
): PlannedImage {
  const launches = expectedWithinHalfLife(image.score);
  const copiesWanted = wanted ?? image.copies + image.copiesComing + (pending.get(image.digest) ?? 0);
  return {
    ...image,
    copiesWanted,
    missesExpected: launches * model.missShare(image.copies),
    missesExpectedThen: launches * model.missShare(copiesWanted),
  };
}

/** Nodes that may be given one more directive: each one at a time. */
class FreeNodes {
  readonly #isBarred: PlanInput["isBarred"];
  /** Those that have least to do and most room first. */
  readonly #nodes: PlanNode[];

  constructor({ nodes, standing, isBarred }: PlanInput, kept: readonly Planned[]) {
    const busy = new Set([...kept, ...standing].map(({ nodeId }) => nodeId));
    this.#isBarred = isBarred;
    this.#nodes = nodes.filter(({ id, roomBytes }) => roomBytes > 0 && !busy.has(id));
    this.#nodes.sort((a, b) => a.fetches - b.fetches || b.freeBytes - a.freeBytes || (a.id < b.id ? -1 : 1));
  }

  get count(): number {
    return this.#nodes.length;
  }

  /** Takes a node for an image: one where nothing has to be evicted for it, if there is any. */
  take(digest: string, sizeBytes: number): string | undefined {
    const isFit = ({ id, roomBytes }: PlanNode) => roomBytes >= sizeBytes && !this.#isBarred(id, digest);
    let index = this.#nodes.findIndex((node) => node.freeBytes >= sizeBytes && isFit(node));
    if (index === -1) index = this.#nodes.findIndex(isFit);
    if (index === -1) return undefined;
    return this.#nodes.splice(index, 1)[0]?.id;
  }
}
