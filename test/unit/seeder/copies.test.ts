/** Copies of images between seeders, where there is no torrent, and where there is no room. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createLog } from "../../../daemon/log.ts";
import type { Image } from "../../../seeder/catalog/image.ts";
import { Copies } from "../../../seeder/replicas/copies.ts";
import { type CopyParts, fetchCopy } from "../../../seeder/replicas/copy.ts";
import { ReplicaHttp } from "../../../seeder/replicas/replica-http.ts";
import type { Swarm } from "../../../swarm/swarm.ts";
import { serveHttp } from "../../fixtures/http-server.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const log = createLog({ level: "silent", name: "test" });
const bytes = randomBytes(100_000);
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
const image: Image = {
  digest: sha256(bytes),
  names: ["image"],
  sizeBytes: bytes.length,
  format: "raw",
  virtualSizeBytes: bytes.length,
  torrent: undefined,
  createdAtMs: 1,
};

/** Another seeder's HTTP, which has some bytes, and hangs up after a part of them if told so. */
async function startSource(content: Buffer, cutAfterBytes = Number.POSITIVE_INFINITY) {
  const ranges: string[] = [];
  const url = await serveHttp((request, response) => {
    const range = String(request.headers.range);
    ranges.push(range);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) as RegExpExecArray;
    const part = content.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, {
      "content-range": `bytes ${first}-${last}/${content.length}`,
      "content-length": part.length,
    });
    if (cutAfterBytes >= part.length) response.end(part);
    else response.write(part.subarray(0, cutAfterBytes), () => response.socket?.end());
  });
  return { url, ranges };
}

async function copyFrom(url: string, directory: string): Promise<void> {
  const http = new ReplicaHttp();
  onTestFinished(() => http.close());
  const parts: CopyParts = { swarm: {} as Swarm, http, holder: () => url, peers: () => [], log };
  const signal = new AbortController().signal;
  await fetchCopy(parts, { image, directory, onProgress: () => {}, onBytes: () => {}, signal });
}

async function emptyDirectory(): Promise<string> {
  const directory = join(await temporaryDirectory(), "copy");
  await mkdir(directory);
  return directory;
}

test("an image without a torrent comes by HTTP, and goes on from where it was cut", async () => {
  const directory = await emptyDirectory();
  const cut = await startSource(bytes, 40_000);
  await expect(copyFrom(cut.url, directory)).rejects.toThrow();
  expect((await readFile(join(directory, "data"))).equals(bytes.subarray(0, 40_000))).toBe(true);
  const whole = await startSource(bytes);
  await copyFrom(whole.url, directory);
  expect(whole.ranges).toEqual([`bytes=40000-${bytes.length - 1}`]);
  expect((await readFile(join(directory, "data"))).equals(bytes)).toBe(true);
});

test("other bytes than the catalog's are thrown away", async () => {
  const directory = await emptyDirectory();
  const { url } = await startSource(randomBytes(bytes.length));
  await expect(copyFrom(url, directory)).rejects.toThrow(/the bytes that came have sha256 [0-9a-f]{64}; all of it/);
  await expect(readdir(directory)).rejects.toThrow("ENOENT");
});

test("what was filled by pieces, in no order, is no beginning of a download", async () => {
  const directory = await emptyDirectory();
  await writeFile(join(directory, "data"), randomBytes(50_000));
  await writeFile(join(directory, "have"), "pieces");
  const { url, ranges } = await startSource(bytes);
  await copyFrom(url, directory);
  expect(ranges).toEqual([`bytes=0-${bytes.length - 1}`]);
});

test("an image that would leave less than the floor free is not begun, and says why", async () => {
  const adopted: string[] = [];
  const discarded: string[] = [];
  let freeBytes = bytes.length + 999;
  const directory = await emptyDirectory();
  const { url } = await startSource(bytes);
  const http = new ReplicaHttp();
  onTestFinished(() => http.close());
  let nowMs = 0;
  const copies = new Copies({
    ...{ swarm: {} as Swarm, http, holder: () => url, peers: () => [], log },
    files: {
      copyDirectory: async () => directory,
      discardCopy: async (digest) => void discarded.push(digest),
      copies: async () => [],
      space: async () => ({ freeBytes, sizeBytes: 1_000_000 }),
    },
    isHere: ({ digest }) => adopted.includes(digest),
    copiesOf: () => 1,
    adopt: async ({ digest }) => adopted.push(digest) > 0,
    rules: { concurrency: 1, freeFloorBytes: 1_000 },
    onBytes: () => {},
    onEnded: () => {},
    nowMs: () => nowMs,
    random: () => 0,
  });
  await copies.admit([image]);
  expect(copies.progress()).toEqual([
    {
      digest: image.digest,
      sizeBytes: bytes.length,
      doneBytes: 0,
      trouble: `there is no room for its ${bytes.length} bytes on this disk`,
    },
  ]);
  freeBytes++;
  await copies.admit([image]);
  expect(adopted).toEqual([]);
  nowMs += 60_000;
  await copies.admit([image]);
  await expect.poll(() => adopted).toEqual([image.digest]);
  await copies.admit([image]);
  expect([copies.missing, copies.progress()]).toEqual([0, []]);
  await copies.close();
});
