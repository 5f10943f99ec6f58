import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createLog } from "../../../daemon/log.ts";
import type { Image } from "../../../seeder/catalog/image.ts";
import { wasSentOn } from "../../../seeder/origin/send-on.ts";
import { awaitCopies, checkWanted, type Replication } from "../../../seeder/replicas/await-copies.ts";
import { replicaIdOf } from "../../../seeder/replicas/replica-id.ts";
import { leaseMs, Roster, type SelfFacts } from "../../../seeder/replicas/roster.ts";
import { SeederPlaces } from "../../../seeder/replicas/seeder-places.ts";
import { freeFloorBytes, wantedCopies } from "../../../seeder/replicas/wanted.ts";
import { openSqliteStore } from "../../../seeder/store/sqlite.ts";
import type { Store } from "../../../seeder/store/store.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const log = createLog({ level: "silent", name: "test" });
const digestOf = (letter: string) => letter.repeat(64);
const imageOf = (letter: string, createdAtMs = 1): Image => ({
  digest: digestOf(letter),
  names: [letter],
  sizeBytes: 1_000,
  format: "raw",
  virtualSizeBytes: 1_000,
  torrent: undefined,
  createdAtMs,
});

async function newStore(): Promise<Store> {
  const store = await openSqliteStore(join(await temporaryDirectory(), "store.sqlite"), log);
  onTestFinished(() => store.close());
  return store;
}

/** A seeder on a store, with clocks that stand until they are told to go on. */
async function seederOn(store: Store, name: string, clock = { nowMs: 0, timeMs: 1_000_000 }, url = `http://${name}`) {
  const held = new Set<string>();
  const self = async (): Promise<SelfFacts> => ({
    ...{ id: name, url, host: `${name}.host`, peerPort: 1, dhtPort: 2 },
    ...{ version: "1", freeBytes: 3, fetches: [] },
  });
  const roster = await Roster.open({
    store: store.replicas,
    self,
    held: () => held,
    nowMs: () => clock.nowMs,
    timeMs: () => clock.timeMs,
    random: () => 0,
  });
  return { roster, held, clock };
}

describe("the roster", () => {
  test("has this seeder alone until another is seen", async () => {
    const { roster } = await seederOn(await newStore(), "one");
    expect(roster.live().map(({ id, isSelf }) => [id, isSelf])).toEqual([["one", true]]);
    expect(roster.counts(digestOf("a"))).toEqual({ replicas: 0, away: 0 });
  });

  test("takes a seeder that does not move for lost, whatever its clock says, and sees it return", async () => {
    const store = await newStore();
    const one = await seederOn(store, "one");
    const two = await seederOn(store, "two", { nowMs: 0, timeMs: 1_000_000 + leaseMs / 2 });
    await two.roster.beat();
    await one.roster.beat();
    expect(one.roster.live()).toHaveLength(2);
    one.clock.nowMs += leaseMs;
    // It jumps ahead by a day, and says nothing.
    one.clock.timeMs += 86_400_000;
    await one.roster.beat();
    expect(one.roster.list().map(({ id, state }) => [id, state])).toEqual([
      ["one", "up"],
      ["two", "lost"],
    ]);
    await two.roster.beat();
    await one.roster.beat();
    expect(one.roster.live()).toHaveLength(2);
  });

  test("knows what was there when it was asked to look, also while an earlier look still reads", async () => {
    const store = await newStore();
    await store.addImage(imageOf("a"));
    await store.addImage(imageOf("b"));
    const other = await seederOn(store, "other");
    await other.roster.beat();
    // The first list of copies is read at once, and comes late.
    const release = Promise.withResolvers<void>();
    let lists = 0;
    const replicas = new Proxy(store.replicas, {
      get: (target, key) => {
        if (key !== "listCopies") return Reflect.get(target, key).bind(target);
        return async () => {
          const copies = await target.listCopies();
          if (lists++ === 0) await release.promise;
          return copies;
        };
      },
    });
    const { roster } = await seederOn({ ...store, replicas } as Store, "self");
    await store.replicas.addCopy("other", digestOf("a"));
    const beat = roster.beat();
    await expect.poll(() => lists, { timeout: 20_000 }).toBe(1);
    await store.replicas.addCopy("other", digestOf("b"));
    const look = roster.look();
    // Time for a look that does not wait for the other's end: the store does what it is asked in order.
    for (let turn = 0; turn < 5; turn++) await store.replicas.versions();
    release.resolve();
    await Promise.all([beat, look]);
    expect(roster.holders(digestOf("b")).map(({ id }) => id)).toEqual(["other"]);
  });

  test("knows where a holder is as soon as that has said so, when it is asked to look", async () => {
    const store = await newStore();
    await store.addImage(imageOf("a"));
    const { roster } = await seederOn(store, "self");
    // It has started, and does not listen yet.
    const starting = await seederOn(store, "other", undefined, "");
    await starting.roster.beat();
    await store.replicas.addCopy("other", digestOf("a"));
    await roster.beat();
    expect(roster.someHolder(digestOf("a"))).toBeUndefined();
    const listening = await seederOn(store, "other", { nowMs: 0, timeMs: 1_000_001 });
    await listening.roster.beat();
    await roster.look();
    expect(roster.someHolder(digestOf("a"))?.url).toBe("http://other");
  });

  test("takes a seeder that was last seen long before the first look for lost", async () => {
    const store = await newStore();
    await (await seederOn(store, "two", { nowMs: 0, timeMs: 0 })).roster.beat();
    const one = await seederOn(store, "one");
    await one.roster.beat();
    expect(one.roster.list()[1]).toMatchObject({ id: "two", state: "lost" });
  });

  test("knows who holds what, and counts those that are away apart", async () => {
    const store = await newStore();
    await store.addImage(imageOf("a"));
    const one = await seederOn(store, "one");
    const two = await seederOn(store, "two");
    await two.roster.beat();
    await store.replicas.addCopy("two", digestOf("a"));
    await one.roster.beat();
    one.held.add(digestOf("a"));
    expect(one.roster.counts(digestOf("a"))).toEqual({ replicas: 2, away: 0 });
    expect(one.roster.someHolder(digestOf("a"))?.url).toBe("http://two");
    expect(one.roster.unsaid(one.held)).toEqual([digestOf("a")]);
    one.clock.nowMs += leaseMs;
    expect(one.roster.counts(digestOf("a"))).toEqual({ replicas: 1, away: 1 });
    expect(one.roster.someHolder(digestOf("a"))).toBeUndefined();
  });

  test("forgets a lost seeder, never a live one", async () => {
    const store = await newStore();
    const one = await seederOn(store, "one");
    await (await seederOn(store, "two")).roster.beat();
    await one.roster.beat();
    await expect(one.roster.forget("two")).rejects.toThrow("the seeder two is live; stop it first");
    await expect(one.roster.forget("three")).rejects.toThrow('there is no seeder "three"');
    one.clock.nowMs += leaseMs;
    expect((await one.roster.forget("http://two")).id).toBe("two");
    expect(one.roster.list()).toHaveLength(1);
  });
});

describe("the places of seeders", () => {
  const twoSeeders = async (urls: [string, string]) => {
    const store = await newStore();
    const one = await seederOn(store, "one", undefined, urls[0]);
    const two = await seederOn(store, "two", undefined, urls[1]);
    await two.roster.beat();
    await one.roster.beat();
    return one;
  };

  test("of a single seeder are no list of URLs", async () => {
    const { roster } = await seederOn(await newStore(), "one");
    const places = new SeederPlaces(roster, { host: "", dhtPort: 2, peerPort: 1 });
    expect(places.urlsFor("127.0.0.1")).toEqual([]);
    expect(places.endpoints()).toEqual([{ host: "", dhtPort: 2, peerPort: 1 }]);
    expect(places.whereabouts(digestOf("a")).peers).toEqual([]);
  });

  test("are told with all live seeders, but those of loopback to this machine's nodes only", async () => {
    const { roster } = await twoSeeders(["http://127.0.0.1:1", "http://two"]);
    const places = new SeederPlaces(roster, { host: "one.host", dhtPort: 2, peerPort: 1 });
    expect(places.urlsFor("127.0.0.1")).toEqual(["http://127.0.0.1:1", "http://two"]);
    expect(places.urlsFor("10.0.0.1")).toEqual(["http://two"]);
    expect(places.urlsFor(undefined)).toEqual(["http://two"]);
    expect(places.endpoints().map(({ host }) => host)).toEqual(["one.host", "two.host"]);
  });
});

describe("waiting for copies", () => {
  const rosterOf = (live: number, holding: () => number) => {
    const replica = (index: number) => ({ id: `r${index}`, url: `http://r${index}`, images: new Set<string>() });
    const all = () =>
      Array.from({ length: live }, (_, index) => ({
        ...replica(index),
        images: new Set(index < holding() ? [digestOf("a")] : []),
        fetches: index < holding() ? [] : [{ digest: digestOf("a"), sizeBytes: 100, doneBytes: 42, trouble: "slow" }],
      }));
    return {
      live: all,
      holders: (digest: string) => all().filter(({ images }) => images.has(digest)),
    } as unknown as Roster;
  };
  const never = new AbortController().signal;

  test("ends when as many hold the image, and tells how far they are", async () => {
    let holding = 1;
    const told: Replication[] = [];
    for await (const each of awaitCopies(
      rosterOf(2, () => holding),
      imageOf("a"),
      2,
      0,
      never,
    )) {
      told.push(each);
      holding = 2;
    }
    expect(told).toEqual([
      {
        wanted: 2,
        holding: ["http://r0"],
        fetching: [{ digest: digestOf("a"), sizeBytes: 100, doneBytes: 42, trouble: "slow" }],
      },
      { wanted: 2, holding: ["http://r0", "http://r1"], fetching: [] },
    ]);
  });

  test("refuses more than there are, and says when the time is over what was reached", async () => {
    expect(() =>
      checkWanted(
        rosterOf(2, () => 0),
        3,
      ),
    ).toThrow(
      "3 seeders cannot hold an image, as only 2 are there: http://r0, http://r1; start more on the same store",
    );
    expect(() =>
      checkWanted(
        rosterOf(1, () => 0),
        2,
      ),
    ).toThrow("only this one is there");
    expect(() =>
      checkWanted(
        rosterOf(1, () => 0),
        65,
      ),
    ).toThrow("1 to 64");
    const waiting = (async () => {
      for await (const _each of awaitCopies(
        rosterOf(2, () => 1),
        imageOf("a"),
        2,
        1,
        never,
      ));
    })();
    await expect(waiting).rejects.toThrow(
      "a is published, but after 0.001 s 1 of 2 seeders hold it (http://r0); others are at 42 % (slow). It goes on;",
    );
  });
});

test("copies begin with what the fewest seeders hold, then with the newest, and leave alone what failed just now", () => {
  const images = [imageOf("a", 1), imageOf("b", 2), imageOf("c", 3), imageOf("d", 4), imageOf("e", 5), imageOf("f", 6)];
  const copies: Record<string, number> = { a: 1, b: 2, c: 1, d: 0, e: 1, f: 1 };
  const wanted = wantedCopies({
    images,
    isHere: (digest) => digest === digestOf("e"),
    copiesOf: (digest) => copies[digest[0] as string] as number,
    notBeforeMs: (digest) => (digest === digestOf("f") ? 101 : 0),
    nowMs: 100,
  });
  expect(wanted.map(({ names }) => names[0])).toEqual(["c", "a", "b", "d"]);
});

test("copies leave a twentieth of the disk free, ten GiB at most, or what is set", () => {
  expect(freeFloorBytes("auto", 1_000)).toBe(50);
  expect(freeFloorBytes("auto", 2 ** 50)).toBe(10 * 2 ** 30);
  expect(freeFloorBytes(7, 1_000)).toBe(7);
});

test("a seeder keeps its id, and does not take another file for one", async () => {
  const directory = await temporaryDirectory();
  const id = await replicaIdOf(directory);
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(await replicaIdOf(directory)).toBe(id);
  const other = join(directory, "other");
  await mkdir(other);
  await writeFile(join(other, "replica-id"), "nonsense");
  await expect(replicaIdOf(other)).rejects.toThrow("does not hold a seeder's id");
});

test("a request that was sent on is known by its query", () => {
  expect(wasSentOn({ query: new URLSearchParams("redirected=1") })).toBe(true);
  expect(wasSentOn({ query: new URLSearchParams("sha256=x") })).toBe(false);
});
