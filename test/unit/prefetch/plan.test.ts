import "../../fixtures/property-seed.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BinaryHeap } from "../../../seeder/prefetch/binary-heap.ts";
import { MissModel } from "../../../seeder/prefetch/miss-model.ts";
import {
  type PlanImage,
  type PlanInput,
  type PlanNode,
  planZone,
  type Standing,
} from "../../../seeder/prefetch/plan.ts";

const GiB = 2 ** 30;
const rules = { choiceShare: 0.25, missesAvertedMin: 0.5, copiesMin: 1, copiesMax: 0, underWayMax: 1_000 };

const node = (id: string, fields: Partial<PlanNode> = {}): PlanNode => ({
  id,
  roomBytes: 10 * GiB,
  freeBytes: 10 * GiB,
  fetches: 0,
  ...fields,
});
const nodes = (count: number, fields: Partial<PlanNode> = {}) =>
  Array.from({ length: count }, (_, index) => node(`n${String(index).padStart(3, "0")}`, fields));
const image = (digest: string, score: number, fields: Partial<PlanImage> = {}): PlanImage => ({
  digest,
  sizeBytes: GiB,
  score,
  copies: 0,
  copiesComing: 0,
  ...fields,
});

function plan(input: Partial<PlanInput>) {
  const all = { rules, nodes: nodes(20), images: [], standing: [], isBarred: () => false, ...input };
  return planZone({ nodeCount: all.nodes.length, ...all });
}

/** Nodes that a plan gives an image to. */
const given = ({ assignments }: ReturnType<typeof planZone>, digest: string) =>
  assignments.filter((each) => each.digest === digest).map(({ nodeId }) => nodeId);

test("the share of launches that miss is that of drawing so many hosts without one that has the image", () => {
  const model = new MissModel(8, 0.25);
  // Of 8 nodes with 3 copies, two drawn: 5/8 x 4/7.
  expect(model.missShare(3)).toBeCloseTo((5 / 8) * (4 / 7));
  expect([model.missShare(0), model.missShare(7), model.missShare(8)]).toEqual([1, 0, 0]);
  expect(new MissModel(10, 0.01).missShare(4)).toBeCloseTo(0.6);
});

test("each further copy spares less than the one before", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.double({ min: 0.001, max: 1, noNaN: true }), (count, share) => {
      const model = new MissModel(count, share);
      for (let copies = 0; copies < count; copies++) {
        expect(model.sparedByNext(copies)).toBeGreaterThanOrEqual(0);
        expect(model.sparedByNext(copies + 1)).toBeLessThanOrEqual(model.sparedByNext(copies) + 1e-12);
      }
    }),
    { numRuns: 50 },
  );
});

test("a heap gives things in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const heap = new BinaryHeap<number>((a, b) => a - b);
      for (const each of numbers) heap.push(each);
      const taken = numbers.map(() => heap.pop());
      expect(taken).toEqual(numbers.toSorted((a, b) => a - b));
      expect(heap.pop()).toBeUndefined();
    }),
  );
});

test("popular images get more copies than others, and those that nobody launches none", () => {
  const planned = plan({ images: [image("often", 100), image("seldom", 3), image("never", 0.1)] });
  const [often, seldom, never] = ["often", "seldom", "never"].map((digest) => given(planned, digest).length);
  expect(often).toBeGreaterThan(seldom as number);
  expect(seldom).toBeGreaterThan(0);
  expect(never).toBe(0);
  expect(planned.images.find(({ digest }) => digest === "often")?.missesExpectedThen).toBeLessThan(1);
});

test("copies that are there, or on their way, are not planned again", () => {
  const wanted = given(plan({ images: [image("a", 50)] }), "a").length;
  const planned = plan({ images: [image("a", 50, { copies: wanted - 3, copiesComing: 2 })] });
  expect(given(planned, "a")).toHaveLength(1);
});

test("nodes that have room without eviction come first, then those that have less to do", () => {
  const some = [
    node("full", { freeBytes: 0 }),
    node("busy", { fetches: 3 }),
    node("free"),
    node("none", { roomBytes: 1 }),
  ];
  const one = { ...rules, copiesMax: 1 };
  expect(given(plan({ nodes: some, images: [image("a", 50)], rules: one }), "a")).toEqual(["free"]);
  const three = plan({ nodes: some, images: [image("a", 50)], rules: { ...rules, choiceShare: 0.01 } });
  expect(given(three, "a")).toEqual(["free", "busy", "full"]);
});

test("a copy that no node can take does not keep others from the space that there is", () => {
  const planned = plan({
    nodes: nodes(1, { roomBytes: GiB }),
    nodeCount: 4,
    images: [image("most", 80, { copies: 1 }), image("less", 40)],
    isBarred: (_nodeId, digest) => digest === "most",
  });
  expect(given(planned, "less")).toHaveLength(1);
});

const anyInput = fc.record({
  images: fc.uniqueArray(
    fc.record({
      digest: fc.integer({ min: 0, max: 40 }).map(String),
      sizeBytes: fc.integer({ min: 1, max: 20 * GiB }),
      score: fc.double({ min: 0, max: 500, noNaN: true }),
      copies: fc.integer({ min: 0, max: 12 }),
      copiesComing: fc.constant(0),
    }),
    { selector: ({ digest }) => digest, maxLength: 30 },
  ),
  nodes: fc.array(
    fc.record({
      roomBytes: fc.integer({ min: 0, max: 30 * GiB }),
      freeBytes: fc.integer({ min: 0, max: 30 * GiB }),
      fetches: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 1, maxLength: 25 },
  ),
  underWayMax: fc.integer({ min: 0, max: 30 }),
  copiesMax: fc.integer({ min: 0, max: 10 }),
});

function inputOf(drawn: typeof anyInput extends fc.Arbitrary<infer Input> ? Input : never): PlanInput {
  const some = drawn.nodes.map((fields, index) => ({ id: `n${index}`, ...fields }));
  const images = drawn.images.map((each) => ({ ...each, copies: Math.min(each.copies, some.length) }));
  const { underWayMax, copiesMax } = drawn;
  const isBarred = (nodeId: string, digest: string) => (Number(nodeId.slice(1)) + Number(digest)) % 5 === 0;
  return {
    rules: { ...rules, underWayMax, copiesMax },
    nodeCount: some.length,
    nodes: some,
    images,
    standing: [],
    isBarred,
  };
}

test("no plan goes beyond a node's room, the copies allowed, what may be under way, or one image a node at a time", () => {
  fc.assert(
    fc.property(anyInput, (drawn) => {
      const input = inputOf(drawn);
      const { assignments } = planZone(input);
      expect(assignments.length).toBeLessThanOrEqual(input.rules.underWayMax);
      expect(new Set(assignments.map(({ nodeId }) => nodeId)).size).toBe(assignments.length);
      for (const { digest, nodeId } of assignments) {
        const size = input.images.find((each) => each.digest === digest)?.sizeBytes as number;
        expect(input.nodes.find(({ id }) => id === nodeId)?.roomBytes).toBeGreaterThanOrEqual(size);
        expect(input.isBarred(nodeId, digest)).toBe(false);
      }
      for (const { digest, copies } of input.images) {
        const more = assignments.filter((each) => each.digest === digest).length;
        const max = input.rules.copiesMax || input.nodeCount;
        if (more > 0) expect(copies + more).toBeLessThanOrEqual(max);
      }
    }),
  );
});

const standingOf = ({ assignments }: ReturnType<typeof planZone>, isBegun: boolean): Standing[] =>
  assignments.map(({ digest, nodeId }) => ({ digest, nodeId, isBegun }));

test("made again of the same figures, a plan stays as it is, whether or not nodes have begun", () => {
  fc.assert(
    fc.property(anyInput, fc.boolean(), (drawn, isBegun) => {
      const input = inputOf(drawn);
      const first = planZone({ ...input, rules: { ...input.rules, underWayMax: 100 } });
      const images = input.images.map((each) => ({
        ...each,
        copiesComing: isBegun ? given(first, each.digest).length : 0,
      }));
      const again = planZone({
        ...input,
        images,
        rules: { ...input.rules, underWayMax: first.assignments.length },
        standing: standingOf(first, isBegun),
      });
      const keyOf = ({ digest, nodeId }: { digest: string; nodeId: string }) => `${digest} ${nodeId}`;
      expect(again.withdrawn).toEqual([]);
      expect(again.assignments.map(keyOf).toSorted()).toEqual(first.assignments.map(keyOf).toSorted());
    }),
  );
});

test("scores that go up and down by a fifth withdraw nothing", () => {
  fc.assert(
    fc.property(anyInput, fc.double({ min: 0.8, max: 1.2, noNaN: true }), (drawn, factor) => {
      const input = inputOf(drawn);
      const first = planZone(input);
      const images = input.images.map((each) => ({ ...each, score: each.score * factor }));
      expect(planZone({ ...input, images, standing: standingOf(first, false) }).withdrawn).toEqual([]);
    }),
  );
});

test("what nobody launches any more is withdrawn, the last begun first", () => {
  const first = plan({ images: [image("a", 50)] });
  const count = first.assignments.length;
  const standing = standingOf(first, false).map((each, index) => ({ ...each, isBegun: index === count - 1 }));
  const later = plan({ images: [image("a", 4, { copiesComing: 1 })], standing });
  expect(later.withdrawn.length).toBeGreaterThan(0);
  expect(later.assignments[0]?.nodeId).toBe(standing.at(-1)?.nodeId);
  expect(plan({ images: [image("a", 0, { copiesComing: 1 })], standing }).assignments).toEqual([]);
  expect(plan({ images: [], standing }).withdrawn).toHaveLength(count);
});

test("of as many bytes, no other choice would have spared more launches their wait", () => {
  // Small enough to try all choices: 3 images of one size on 6 nodes, and room for 4 copies.
  const some = nodes(4, { roomBytes: GiB });
  fc.assert(
    fc.property(fc.array(fc.double({ min: 1, max: 60, noNaN: true }), { minLength: 3, maxLength: 3 }), (scores) => {
      const images = scores.map((score, index) => image(`i${index}`, score));
      const always = { ...rules, missesAvertedMin: 0, copiesMin: 0 };
      const { assignments } = planZone({
        ...{ images, nodes: some, standing: [], rules: always },
        nodeCount: 6,
        isBarred: () => false,
      });
      const model = new MissModel(6, rules.choiceShare);
      const missed = (copies: number[]) =>
        scores.reduce((sum, score, index) => sum + score * model.missShare(copies[index] as number), 0);
      const chosen = missed(images.map(({ digest }) => assignments.filter((each) => each.digest === digest).length));
      for (let a = 0; a <= 4; a++) {
        for (let b = 0; a + b <= 4; b++) expect(chosen).toBeLessThanOrEqual(missed([a, b, 4 - a - b]) + 1e-9);
      }
    }),
    { numRuns: 50 },
  );
});

test("a plan of 10,000 nodes and 1,000 images takes its nodes from all of them and ends", () => {
  const images = Array.from({ length: 1_000 }, (_, index) => image(`i${index}`, 5_000 / (index + 1), { copies: 3 }));
  const planned = plan({ nodes: nodes(10_000), images, rules: { ...rules, underWayMax: 64 } });
  expect(planned.assignments).toHaveLength(64);
  expect(planned.images.reduce((sum, { copiesWanted }) => sum + copiesWanted, 0)).toBeGreaterThan(3_000);
});
