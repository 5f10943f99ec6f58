/** Several seeders that share a catalog in PostgreSQL, as processes: what one of them loses, the others have. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { uploadBootImage } from "../../agent/boot/upload-boot-image.ts";
import { pageBytes } from "../../boot/limits.ts";
import { decodeProfile, profileOfReads } from "../../boot/profile.ts";
import { type Replica, ReplicaState } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { imageOf, packed } from "../fixtures/boot-images.ts";
import {
  ensure,
  fetchOf,
  metric,
  publish,
  type Settings,
  startAgent,
  startSeeder,
  type TestAgent,
  type TestSeeder,
} from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { startPostgres, type TestPostgres } from "../fixtures/postgres.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const mebibyte = 1024 * 1024;
let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.remove());

/** Two seeders on a database of their own, each of which sees the other. */
async function startTwo(settings: Settings = {}) {
  const directory = await temporaryDirectory();
  const url = await postgres.createDatabase();
  const start = (name: string, more: Settings = {}) => {
    return startSeeder(join(directory, name), { "store.url": url, ...settings, ...more });
  };
  const [a, b] = await Promise.all([start("a"), start("b")]);
  await seeEachOther(a, b);
  return { directory, url, start, a, b };
}

async function seeEachOther(...seeders: TestSeeder[]): Promise<void> {
  for (const seeder of seeders) {
    await eventually(async () => {
      const up = (await replicasOf(seeder)).filter(({ state }) => state === ReplicaState.UP);
      return up.length === seeders.length ? true : undefined;
    }, "the seeders see each other");
  }
}

async function replicasOf(seeder: TestSeeder): Promise<Replica[]> {
  return (await seeder.catalog.listReplicas({})).replicas;
}

const replicasOfImage = async (seeder: TestSeeder, image: string) => {
  const { image: found } = await seeder.catalog.getImage({ image });
  return { here: found?.replicas, away: found?.replicasAway };
};

const seederOf = async (agent: TestAgent) => (await agent.service.getStatus({})).seederUrl;

test("publish with two replicas, kill the one that took it: bytes, catalog, reports and inventory go on", async () => {
  const { directory, a, b } = await startTwo({ "swarm.uploadBytesPerSecondMax": 12 * mebibyte });
  const list = `${a.url},${b.url}`;
  const agents = await Promise.all(
    [1, 2, 3].map((n) => startAgent(list, join(directory, `node-${n}`), {}, `node-${n}`)),
  );
  const image = await publish(a, await makeRandomFile(directory, "image", 24), "image", "?replicas=2");
  expect(image.replicas).toBe(2);
  const plainFile = await makeRandomFile(directory, "plain", 4);
  const plain = await publish(a, plainFile, "plain", "?replicas=2&torrent=false");
  await ensure(agents[0]!, "image");
  const fetching = ensure(agents[1]!, "image");
  fetching.catch(() => {});
  await eventually(async () => {
    return ((await fetchOf(agents[1]!, image.digest))?.doneBytes ?? 0n) > 0n ? true : undefined;
  }, "a fetch is under way");

  await a.process.kill("SIGKILL");

  // By the swarm, and by HTTP.
  expect(await sha256Of((await fetching).path)).toBe(image.digest);
  expect(await sha256Of((await ensure(agents[2]!, "plain")).path)).toBe(plain.digest);
  const { images } = await b.catalog.listImages({});
  expect(images.map(({ names }) => names[0]).toSorted()).toEqual(["image", "plain"]);
  const data = await request(`${b.url}/images/image/data`);
  expect((await data.body.arrayBuffer()).byteLength).toBe(24 * mebibyte);
  for (const agent of agents) {
    await eventually(async () => ((await seederOf(agent)) === b.url ? true : undefined), "the agent asks the other");
  }
  await eventually(async () => {
    const { nodes } = await b.inventory.listHoldings({ image: "image" });
    return nodes.filter(({ holding }) => holding).length === 2 ? true : undefined;
  }, "the inventory is complete");
  await eventually(async () => {
    const lost = (await replicasOf(b)).filter(({ state }) => state === ReplicaState.LOST);
    return lost.length === 1 ? true : undefined;
  }, "the dead seeder is seen to be lost");
  expect(await replicasOfImage(b, "image")).toEqual({ here: 1, away: 1 });
  await expect(publish(b, plainFile, "again", "?replicas=2")).rejects.toThrow(
    /answered 409.*2 seeders cannot hold an image, as only this one is there/,
  );
});

test("a seeder that was away catches up with what was published and retired, and watchers hear of both", async () => {
  const { directory, start, a, b } = await startTwo();
  const kept = await publish(a, await makeRandomFile(directory, "kept", 4), "kept", "?replicas=2");
  const gone = await publish(a, await makeRandomFile(directory, "gone", 4), "gone", "?replicas=2");
  const heard: string[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    for await (const { event, image } of b.catalog.watchImages({}, { signal: stop.signal })) {
      heard.push(`${event} ${image?.digest}`);
    }
  })().catch(() => {});
  const late = await publish(a, await makeRandomFile(directory, "late", 4), "late");
  await eventually(() => (heard.includes(`2 ${late.digest}`) ? true : undefined), "a watcher hears of a publication");
  await a.catalog.retireImage({ image: "late" });
  await eventually(() => (heard.includes(`4 ${late.digest}`) ? true : undefined), "a watcher hears of a retirement");
  const held = (name: string) => readdir(join(directory, name, "images"));
  await eventually(async () => {
    return (await held("b")).includes(late.digest) ? undefined : true;
  }, "what one retires goes from the other");
  stop.abort();
  await watching;

  await a.process.kill("SIGKILL");
  await b.catalog.retireImage({ image: "gone" });
  const fresh = await publish(b, await makeRandomFile(directory, "fresh", 8), "fresh");
  const again = await start("a");
  await eventually(async () => {
    const all = await held("a");
    return all.length === 2 && all.includes(fresh.digest) && all.includes(kept.digest) ? true : undefined;
  }, "it has what was published meanwhile, and not what was retired");
  expect(await held("a")).not.toContain(gone.digest);
  await eventually(async () => {
    return (await replicasOfImage(again, "fresh")).here === 2 ? true : undefined;
  }, "it says so");
  const data = await request(`${again.url}/images/fresh/data`);
  expect((await data.body.arrayBuffer()).byteLength).toBe(8 * mebibyte);
});

test("a copy whose only source dies waits for it, says so, and goes on from what it had", async () => {
  const slow = { "swarm.uploadBytesPerSecondMax": 6 * mebibyte };
  const { directory, start, a, b } = await startTwo(slow);
  const image = await publish(a, await makeRandomFile(directory, "image", 48), "image");
  const copyAt = async () => (await replicasOf(b)).flatMap(({ fetches }) => fetches)[0];
  await eventually(async () => {
    return ((await copyAt())?.doneBytes ?? 0n) > 12n * BigInt(mebibyte) ? true : undefined;
  }, "a part has come");
  // Meanwhile the other has the bytes.
  const redirected = await request(`${b.url}/images/image/data`, { headers: { host: "evil.example" } });
  await redirected.body.dump();
  expect([redirected.statusCode, redirected.headers.location]).toEqual([
    307,
    `${a.url}/images/${image.digest}/data?redirected=1`,
  ]);
  await a.process.kill("SIGKILL");
  await eventually(async () => {
    const { here, away } = await replicasOfImage(b, "image");
    return here === 0 && away === 1 ? true : undefined;
  }, "no seeder has it");
  const refused = await request(`${b.url}/images/image/data`);
  expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([503, "30"]);
  expect(await refused.body.json()).toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/^all seeders that have its bytes are away \(http:.*, last seen .*\): image can/),
  });
  const before = Number((await copyAt())?.doneBytes ?? 0n);
  await b.process.kill("SIGKILL");
  // What is left need not be slow.
  const [, bAgain] = [await start("a", { "swarm.uploadBytesPerSecondMax": 0 }), await start("b")];
  await eventually(async () => {
    return (await replicasOfImage(bAgain, "image")).here === 2 ? true : undefined;
  }, "both hold it");
  const received = await metric(bAgain, 'bootswarm_seeder_copied_bytes_total{source="swarm"}');
  expect(received).toBeLessThan(48 * mebibyte - before / 2);
  const data = await request(`${bAgain.url}/images/image/data`);
  expect(data.statusCode).toBe(200);
  await data.body.dump();
});

test("two seeders never give one name to two images, and a torrent made at one is served by both", async () => {
  const { directory, a, b } = await startTwo();
  const [one, two] = [await makeRandomFile(directory, "one", 2), await makeRandomFile(directory, "two", 2)];
  const results = await Promise.allSettled([publish(a, one, "same"), publish(b, two, "same")]);
  const failures = results.filter((result) => result.status === "rejected");
  expect(failures.map(({ reason }) => String(reason))).toEqual([
    expect.stringMatching(/answered 409.*\\"same\\" is the name of another image/),
  ]);
  // The same bytes at both are one image.
  const same = await Promise.all([publish(a, one, "first"), publish(b, one, "second")]);
  expect(same[0].digest).toBe(same[1].digest);
  expect((await b.catalog.getImage({ image: same[0].digest })).image?.names.toSorted()).toEqual(
    expect.arrayContaining(["first", "second"]),
  );

  const plain = await publish(a, await makeRandomFile(directory, "plain", 12), "plain", "?torrent=false");
  const { image } = await b.catalog.createTorrent({ image: "plain" });
  expect(image?.infohash).toMatch(/^[0-9a-f]{40}$/);
  await eventually(async () => ((await replicasOfImage(b, "plain")).here === 2 ? true : undefined), "both hold it");
  await eventually(
    async () => ((await metric(b, "bootswarm_seeder_torrents")) >= 2 ? true : undefined),
    "both seed it",
  );
  await a.process.kill("SIGKILL");
  const agent = await startAgent(`${a.url},${b.url}`, join(directory, "node"), { "fetch.fallback": "off" });
  const { path } = await ensure(agent, "plain");
  expect(await sha256Of(path)).toBe(plain.digest);
  expect(await fetchOf(agent, plain.digest)).toMatchObject({ httpBytes: 0n });
});

test("a database that has lost its catalog costs no bytes, and what is published anew is everywhere again", async () => {
  const { directory, url, a, b } = await startTwo();
  const file = await makeRandomFile(directory, "old", 2);
  const old = await publish(a, file, "old", "?replicas=2");
  await postgres.query(url, "truncate images, names, replica_images, versions");
  const fresh = await publish(a, await makeRandomFile(directory, "new", 2), "new", "?replicas=2");
  for (const [name, seeder] of Object.entries({ a, b })) {
    await seeder.process.says(/the database does not know images that are here, and nobody retired them/);
    const kept = await sha256Of(join(directory, name, "images", old.digest, "data"));
    expect(kept).toBe(old.digest);
  }
  await publish(b, file, "old", "?replicas=2");
  expect(await metric(a, 'bootswarm_seeder_copied_bytes_total{source="swarm"}')).toBe(0);
  for (const seeder of [a, b]) {
    expect(await replicasOfImage(seeder, "new")).toEqual({ here: 2, away: 0 });
    expect(await replicasOfImage(seeder, "old")).toEqual({ here: 2, away: 0 });
  }
  expect(fresh.digest).not.toBe(old.digest);
});

test("a seeder without an image's bytes sends its boot image on, and its boot profile comes from where they are", async () => {
  const directory = await temporaryDirectory();
  const store = { "store.url": await postgres.createDatabase() };
  const a = await startSeeder(join(directory, "a"), store);
  // It never has room for a copy.
  const b = await startSeeder(join(directory, "b"), { ...store, "replica.freeFloorBytes": Number.MAX_SAFE_INTEGER });
  await seeEachOther(a, b);
  const image = imageOf([1, 0, 2, 3]);
  await writeFile(join(directory, "image"), image);
  const { digest } = await publish(a, join(directory, "image"), "image");
  const profile = profileOfReads({ digest, sizeBytes: image.length }, [[0, image.length]], pageBytes);
  const made = await packed({ image, profile, sources: [] });
  await eventually(async () => {
    const [copy] = (await replicasOf(b)).flatMap(({ fetches }) => fetches);
    return copy?.trouble.includes("no room") ? true : undefined;
  }, "the other has no room for the image");

  const path = `/images/${digest}.boot`;
  const sent = await request(`${b.url}${path}`, { method: "PUT", body: made.file });
  await sent.body.dump();
  expect([sent.statusCode, sent.headers.location]).toEqual([307, `${a.url}${path}?redirected=1`]);
  const framesPath = join(directory, "frames");
  await writeFile(framesPath, made.file.subarray(made.headBytes.length));
  const upload = { packed: made, framesPath, sizeBytes: made.file.length, remove: async () => {} };
  const failed = (_url: string, error: unknown) => expect.unreachable(String(error));
  await uploadBootImage({ url: b.url, failed }, digest, upload, new AbortController().signal);

  const [there, here] = [
    await b.catalog.getBootProfile({ image: "image" }),
    await a.catalog.getBootProfile({ image: "image" }),
  ];
  expect(decodeProfile(there.profile)).toEqual(made.head.profile);
  expect(there.profile).toEqual(here.profile);
  await a.process.kill("SIGKILL");
  await expect(b.catalog.getBootProfile({ image: "image" })).rejects.toMatchObject({ code: Code.Unavailable });
});
