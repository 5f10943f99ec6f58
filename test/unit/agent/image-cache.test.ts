import { createHash, randomBytes } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ImageCache } from "../../../agent/cache/image-cache.ts";
import { stateLayout } from "../../../agent/cache/layout.ts";
import { loadNodeId } from "../../../agent/cache/node-id.ts";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { createLog } from "../../../daemon/log.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { makeTorrent } from "../../fixtures/torrents.ts";

const log = createLog({ level: "silent", name: "test" });
const now = () => new Date("2026-01-02T03:04:05.000Z");
const wanted = { name: "", priority: "ensure" as const, requestedAt: now().toISOString() };
const bytes = randomBytes(10_000);

function factsFor(content: Buffer, names: string[] = ["image"]): ImageFacts {
  return {
    digest: createHash("sha256").update(content).digest("hex"),
    names,
    sizeBytes: content.length,
    format: "raw",
    virtualSizeBytes: content.length,
    magnetUri: "",
    infohash: "",
    dataPath: "/data",
  };
}

/** A cache in a directory of its own, and the way to open it again. */
async function newCache() {
  const layout = stateLayout(await temporaryDirectory());
  const open = () => ImageCache.open(layout, now, log);
  return { layout, open, cache: await open() };
}

/** Puts a complete image in a cache. */
async function addComplete(cache: ImageCache, content = bytes, names?: string[]) {
  const facts = factsFor(content, names);
  await cache.begin(facts, wanted);
  const { paths } = cache.get(facts.digest)!;
  await writeFile(paths.data, content);
  await cache.complete(facts.digest);
  return { digest: facts.digest, paths };
}

/** Puts half of an image in a cache. */
async function addPartial(cache: ImageCache) {
  const facts = factsFor(bytes);
  await cache.begin(facts, wanted);
  const { paths } = cache.get(facts.digest)!;
  await writeFile(paths.data, bytes.subarray(0, 5_000));
  return { digest: facts.digest, paths };
}

test("what is complete, used and pinned is so after a restart", async () => {
  const { cache, open } = await newCache();
  const { digest } = await addComplete(cache);
  await cache.setPinned(digest, true);
  const entry = (await open()).get(digest);
  expect(entry).toMatchObject({ complete: true, used: { pinned: true }, record: { names: ["image"], wanted: null } });
  expect(entry?.allocatedBytes).toBeGreaterThanOrEqual(bytes.length);
});

test("an image is complete only once it was marked so, however full its file", async () => {
  const { cache, open } = await newCache();
  const { digest, paths } = await addPartial(cache);
  await writeFile(paths.data, bytes);
  expect((await open()).get(digest)).toMatchObject({ complete: false, record: { wanted } });
});

test("tmp/ is emptied at start, and what is no image is left alone", async () => {
  const { layout, open } = await newCache();
  await writeFile(join(layout.tmp, "left"), "over");
  await mkdir(join(layout.images, "lost+found"));
  expect((await open()).list()).toEqual([]);
  expect(await readdir(layout.tmp)).toEqual([]);
  expect(await readdir(layout.images)).toEqual(["lost+found"]);
});

test.each([
  ["is cut", (data: string) => truncate(data, 100)],
  ["has grown", (data: string) => appendFile(data, "x")],
  ["is gone", (data: string) => rm(data)],
  ["is a directory", async (data: string) => rm(data).then(() => mkdir(data))],
])("a complete image whose data %s is taken away, and the others stay", async (_case, damage) => {
  const { cache, layout, open } = await newCache();
  const { paths } = await addComplete(cache);
  const other = await addComplete(cache, randomBytes(10), ["other"]);
  await damage(paths.data);
  expect((await open()).list().map(({ record }) => record.digest)).toEqual([other.digest]);
  expect(await readdir(layout.images)).toEqual([other.digest]);
});

test.each(["", "{", "null", '{"version":1}', "\0\0\0\0", '{"digest":"../../x"}'])(
  "an image whose record reads %j is kept if its data has the right sha256, and taken away if not",
  async (text) => {
    const { cache, open } = await newCache();
    const whole = await addComplete(cache);
    await writeFile(whole.paths.record, text);
    const opened = await open();
    expect(opened.get(whole.digest)).toMatchObject({ complete: true, record: { sizeBytes: bytes.length, names: [] } });
    expect(JSON.parse(await readFile(whole.paths.record, "utf8"))).toMatchObject({ digest: whole.digest });
    await writeFile(whole.paths.record, text);
    await truncate(whole.paths.data, 9_999);
    expect((await open()).get(whole.digest)).toBeUndefined();
  },
);

/** Puts an image with its torrent in a cache; its data is left to the caller. */
async function addWithTorrent(cache: ImageCache) {
  const torrent = makeTorrent([{ path: "image", data: bytes }]);
  const facts = { ...factsFor(bytes), infohash: torrent.infohash, magnetUri: torrent.magnet };
  await cache.begin(facts, wanted);
  await cache.keepMetainfo(facts.digest, torrent.info);
  const { paths } = cache.get(facts.digest)!;
  return { digest: facts.digest, paths, torrent };
}

test("a partial image that lost its record keeps its bytes if its torrent's info says what they are", async () => {
  const { cache, open } = await newCache();
  const { digest, paths, torrent } = await addWithTorrent(cache);
  await writeFile(paths.data, bytes.subarray(0, 5_000));
  await writeFile(paths.have, "which pieces");
  await writeFile(paths.record, "{");
  const opened = await open();
  const { infohash } = torrent;
  expect(opened.get(digest)).toMatchObject({ complete: false, record: { infohash, sizeBytes: 10_000, wanted: null } });
  expect((await stat(paths.data)).size).toBe(5_000);
  expect((await opened.metainfo(digest))?.infohash).toBe(infohash);
  expect(JSON.parse(await readFile(paths.record, "utf8"))).toMatchObject({ infohash });
});

test("a complete image that lost the end of its data is wanted again, and keeps what is left for its torrent", async () => {
  const { cache, open } = await newCache();
  const { digest, paths } = await addWithTorrent(cache);
  await writeFile(paths.data, bytes);
  await cache.complete(digest);
  await truncate(paths.data, 7_000);
  const opened = await open();
  expect(opened.get(digest)).toMatchObject({ complete: false, record: { completedAt: null } });
  expect(opened.get(digest)?.record.wanted).not.toBeNull();
  expect((await stat(paths.data)).size).toBe(7_000);
});

test("a record of another image is not believed", async () => {
  const { cache, open } = await newCache();
  const one = await addComplete(cache);
  const other = await addPartialOf(cache, randomBytes(100));
  await writeFile(other.paths.record, await readFile(one.paths.record));
  expect((await open()).get(other.digest)).toBeUndefined();
});

async function addPartialOf(cache: ImageCache, content: Buffer) {
  const facts = factsFor(content, ["other"]);
  await cache.begin(facts, wanted);
  const { paths } = cache.get(facts.digest)!;
  await writeFile(paths.data, content.subarray(0, 10));
  return { digest: facts.digest, paths };
}

test("an image whose used.json cannot be read is taken to be pinned", async () => {
  const { cache, open } = await newCache();
  const { digest, paths } = await addComplete(cache);
  await writeFile(paths.used, "pinned? yes");
  expect((await open()).get(digest)?.used.pinned).toBe(true);
});

test("a partial image keeps what has arrived", async () => {
  const { cache, open } = await newCache();
  const { digest, paths } = await addPartial(cache);
  expect((await open()).get(digest)?.complete).toBe(false);
  expect((await stat(paths.data)).size).toBe(5_000);
});

test.each([
  [
    "whose data is larger than the image",
    async (paths: { data: string }) => appendFile(paths.data, Buffer.alloc(6_000)),
  ],
  ["with a piece map but no torrent", async (paths: { have: string }) => writeFile(paths.have, "x")],
])("a partial image %s starts over", async (_case, damage) => {
  const { cache, open } = await newCache();
  const { digest, paths } = await addPartial(cache);
  await damage(paths);
  expect((await open()).get(digest)?.complete).toBe(false);
  expect(await readdir(paths.directory)).toEqual(["image.json"]);
});

test("a metainfo that cannot be read is taken away", async () => {
  const { cache, open } = await newCache();
  const { digest, paths } = await addComplete(cache);
  await writeFile(paths.metainfo, "d4:spam4:eggse");
  const opened = await open();
  expect(opened.get(digest)?.complete).toBe(true);
  expect(await opened.metainfo(digest)).toBeUndefined();
});

test("removal gives the bytes back and leaves nothing", async () => {
  const { cache, layout, open } = await newCache();
  const { digest } = await addComplete(cache);
  expect(await cache.remove(digest)).toBeGreaterThanOrEqual(bytes.length);
  expect([await readdir(layout.images), await readdir(layout.tmp)]).toEqual([[], []]);
  expect((await open()).get(digest)).toBeUndefined();
  await expect(cache.remove(digest)).rejects.toThrow("not in this node's cache");
});

test("a name that the catalog has moved is found at its new image only", async () => {
  const { cache } = await newCache();
  const old = await addComplete(cache, bytes, ["debian"]);
  const content = randomBytes(100);
  const renewed = await addComplete(cache, content, ["debian-new"]);
  await cache.learn(factsFor(content, ["debian", "debian-new"]));
  expect(cache.findByName("debian")?.record.digest).toBe(renewed.digest);
  expect(cache.get(old.digest)?.record.names).toEqual([]);
});

test("a complete image learns of its torrent, and of another one; a partial one goes on with its own", async () => {
  const { cache } = await newCache();
  const complete = factsFor(bytes);
  await addComplete(cache);
  const torrent = { infohash: "ab".repeat(20), magnetUri: "magnet:?xt=urn:btih:ab" };
  expect(await cache.learn(complete)).toBe(false);
  expect(await cache.learn({ ...complete, ...torrent })).toBe(true);
  expect(await cache.learn({ ...complete, ...torrent })).toBe(false);
  expect(cache.get(complete.digest)?.record.infohash).toBe(torrent.infohash);
  const partial = await addPartialOf(cache, randomBytes(100));
  const facts = { ...factsFor(Buffer.alloc(0)), ...torrent, digest: partial.digest, sizeBytes: 100 };
  expect(await cache.learn(facts)).toBe(false);
  expect(cache.get(partial.digest)?.record.infohash).toBe("");
});

test("the node's id is made once, and replaced only if it cannot be read", async () => {
  const { layout } = await newCache();
  const id = await loadNodeId(layout, log);
  expect(await loadNodeId(layout, log)).toBe(id);
  await writeFile(layout.nodeId, "\0 / ".repeat(10));
  expect(await loadNodeId(layout, log)).not.toBe(id);
});
