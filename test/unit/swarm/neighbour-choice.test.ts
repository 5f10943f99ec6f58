/** Whom to part with, who gives up a connection, what to ask of other zones. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseUnchoked, type Served } from "../../../swarm/choker.ts";
import { overShare } from "../../../swarm/connection-shares.ts";
import { Locality, type LocalityPeer, mayAskFar } from "../../../swarm/locality.ts";
import { leastWorth, type Neighbour } from "../../../swarm/neighbour-choice.ts";

describe("the neighbour to part with", () => {
  const neighbour = (peer: string, fields: Partial<Neighbour<string>> = {}): Neighbour<string> => ({
    ...{ peer, isUseful: true, isNear: true, bytesPerSecond: 0, ageMs: 60_000 },
    ...fields,
  });
  const many = (count: number, fields: (number: number) => Partial<Neighbour<string>>) =>
    Array.from({ length: count }, (_, number) => neighbour(`${number}`, fields(number)));

  test("is one of no use, then the slowest", () => {
    const rates = many(10, (number) => ({ bytesPerSecond: 100 - number }));
    expect(leastWorth([...rates, neighbour("idle", { isUseful: false, bytesPerSecond: 900 })], 30)).toEqual({
      ...{ peer: "idle", reason: "useless" },
    });
    expect(leastWorth(rates, 30)).toEqual({ peer: "9", reason: "slow" });
  });

  test("is none that came just now: it has had no time to show its worth", () => {
    expect(
      leastWorth(
        many(10, () => ({ ageMs: 5_000, isUseful: false })),
        30,
      ),
    ).toBeUndefined();
    expect(
      leastWorth(
        many(10, () => ({ ageMs: 5_000 })),
        30,
        true,
      ),
    ).toBeDefined();
  });

  test("is of another zone while there are more of those than their share, and never beyond that", () => {
    const far = (count: number) => [
      ...many(count, () => ({ isNear: false, bytesPerSecond: 1 })),
      ...many(20, (number) => ({ bytesPerSecond: 50 + number })).map((each) => ({
        ...each,
        peer: `near ${each.peer}`,
      })),
    ];
    expect(leastWorth(far(11), 40)).toMatchObject({ reason: "far" });
    expect(leastWorth(far(10), 40)).toEqual({ peer: "near 0", reason: "slow" });
  });

  test("is none of the fastest half, however many strangers there are", () => {
    const parted = new Set<string>();
    let neighbours = many(60, (number) => ({ bytesPerSecond: number < 30 ? 1_000 : 0 }));
    for (let stranger = 0; stranger < 1_000; stranger++) {
      const chosen = leastWorth(neighbours, 60);
      if (!chosen) break;
      parted.add(chosen.peer);
      neighbours = [...neighbours.filter(({ peer }) => peer !== chosen.peer), neighbour(`stranger ${stranger}`)];
    }
    expect([...parted].filter((peer) => Number(peer) < 30)).toEqual([]);
  });
});

describe("a node's connections", () => {
  const fetched = (connections: number) => ({ connections, isComplete: false });
  const seeded = (connections: number) => ({ connections, isComplete: true });

  test("of the torrent that has most go to one that has less, until both have as many", () => {
    const [much, little] = [fetched(60), fetched(10)];
    expect(overShare([much, little], little)).toBe(much);
    expect(overShare([much, little], much)).toBeUndefined();
    expect(overShare([fetched(35), fetched(34)], fetched(34))).toBeUndefined();
  });

  test("go to what is fetched four times as readily as to what is only seeded", () => {
    const [seed, fetch] = [seeded(10), fetched(30)];
    expect(overShare([seed, fetch], fetch)).toBe(seed);
    expect(overShare([seeded(7), fetched(30)], seeded(7))).toBeUndefined();
  });

  test("come to rest: nobody takes back what it has just given", () => {
    const torrent = fc.record({ connections: fc.nat({ max: 60 }), isComplete: fc.boolean() });
    fc.assert(
      fc.property(fc.array(torrent, { minLength: 2, maxLength: 20 }), (torrents) => {
        const total = torrents.reduce((sum, { connections }) => sum + connections, 0);
        let moves = 0;
        for (let moved = true; moved; ) {
          moved = false;
          for (const asking of torrents) {
            const giver = overShare(torrents, asking);
            if (!giver) continue;
            giver.connections--;
            asking.connections++;
            moved = true;
            // One may be passed on, but not for ever.
            expect(++moves).toBeLessThanOrEqual(total * torrents.length);
          }
        }
      }),
    );
  });
});

describe("slots", () => {
  const served = (peer: string, isNear: boolean, changedAtMs = 0): Served<string> => ({
    ...{ peer, isNear, interested: true, unchoked: false, changedAtMs, bytesPerSecond: 0 },
  });
  const group = (name: string, count: number, isNear: boolean) =>
    Array.from({ length: count }, (_, number) => served(`${name} ${number}`, isNear, number));
  const farOf = (chosen: Set<string>) => [...chosen].filter((peer) => peer.startsWith("far")).length;

  test("go to the own zone first, but for a quarter that is reserved for others", () => {
    expect(farOf(chooseUnchoked([...group("near", 50, true), ...group("far", 50, false)], 40, true))).toBe(10);
    expect(farOf(chooseUnchoked([...group("near", 50, true), ...group("far", 50, false)], 4, true))).toBe(2);
  });

  test("that one side does not need go to the other", () => {
    expect(farOf(chooseUnchoked([...group("near", 5, true), ...group("far", 50, false)], 40, true))).toBe(35);
    expect(farOf(chooseUnchoked([...group("near", 50, true), ...group("far", 3, false)], 40, true))).toBe(3);
  });
});

describe("what is asked of another zone", () => {
  const piece = { isNear: false, rank: 0, draw: 0.99 };

  test("is what nobody near has, by whoever comes first", () => {
    expect(mayAskFar(piece, 5, 0)).toBe(true);
    expect(mayAskFar({ ...piece, isNear: true }, 5, 0)).toBe(false);
    expect(mayAskFar({ ...piece, rank: 1 }, 5, 0)).toBe(false);
  });

  test("is anything for a node that has nobody near", () => {
    expect(mayAskFar({ ...piece, rank: 9 }, 0, 0)).toBe(true);
  });

  test("is more the longer nothing arrives, in the end everything", () => {
    expect(mayAskFar({ ...piece, rank: 1 }, 5, 1)).toBe(true);
    expect(mayAskFar({ ...piece, rank: 2 }, 5, 1)).toBe(false);
    expect(mayAskFar({ ...piece, rank: 3 }, 5, 2)).toBe(true);
    expect(mayAskFar({ isNear: true, rank: 59, draw: 0.99 }, 60, 6)).toBe(true);
  });

  test("is a small share in any case", () => {
    expect(mayAskFar({ isNear: true, rank: 5, draw: 0.001 }, 5, 0)).toBe(true);
  });

  /** Nodes of one zone that all know each other, and one far peer that has everything. */
  function zoneOf(count: number, pieceCount: number) {
    const peerOf = (number: number, zone: string): LocalityPeer & { held: Set<number> } => {
      const held = new Set<number>();
      const id = (number * 0x9e3779b1 + 12_345).toString(16).padStart(40, "0");
      return { id, zone, has: held, held, requestsLive: 0, lastBlockAtMs: 0, lastHeardAtMs: 0 };
    };
    const nodes = Array.from({ length: count }, (_, number) => peerOf(number + 1, "a"));
    const far = peerOf(0, "b");
    for (let index = 0; index < pieceCount; index++) far.held.add(index);
    const localities = nodes.map((node) => {
      const peers = new Set([far, ...nodes.filter((other) => other !== node)]);
      return new Locality({ zone: "a", ownId: node.id, pieceCount, peers });
    });
    return { nodes, far, localities };
  }

  test("is about one copy of each piece for the whole zone", () => {
    const { far, localities } = zoneOf(12, 1_000);
    const asked = Array.from(
      { length: 1_000 },
      (_, index) => localities.filter((locality) => locality.piecesOf(far, 0).has(index)).length,
    );
    expect(Math.min(...asked)).toBeGreaterThanOrEqual(1);
    expect(asked.reduce((sum, count) => sum + count)).toBeLessThan(1_150);
  });

  test("is spread over the zone evenly", () => {
    const { far, localities } = zoneOf(10, 1_000);
    for (const locality of localities) {
      const pieces = locality.piecesOf(far, 0);
      const count = Array.from({ length: 1_000 }, (_, index) => index).filter((index) => pieces.has(index)).length;
      expect(count).toBeGreaterThan(50);
      expect(count).toBeLessThan(200);
    }
  });

  test("falls to the others when the one whose turn it is has gone", () => {
    const { far, nodes } = zoneOf(3, 100);
    const [self, other, gone] = nodes as unknown as [LocalityPeer, LocalityPeer, LocalityPeer];
    const peers = new Set([far, other, gone]);
    const locality = new Locality({ zone: "a", ownId: self.id, pieceCount: 100, peers });
    const countOf = () => [...Array(100).keys()].filter((index) => locality.piecesOf(far, 0).has(index)).length;
    const before = countOf();
    peers.delete(gone);
    expect(countOf()).toBeGreaterThan(before);
    peers.delete(other);
    expect(countOf()).toBe(100);
  });

  test("is everything where those near have long been silent", () => {
    const { far, localities } = zoneOf(5, 100);
    const countOf = (nowMs: number) =>
      [...Array(100).keys()].filter((index) => localities[0]!.piecesOf(far, nowMs).has(index)).length;
    expect(countOf(0)).toBeLessThan(50);
    expect(countOf(20_000)).toBe(100);
  });
});
