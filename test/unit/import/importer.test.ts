import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import pino from "pino";
import { expect, onTestFinished, test } from "vitest";
import { Problem } from "../../../daemon/problem.ts";
import { type Import, ImportState } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Importer, ImportRequest } from "../../../seeder/catalog/importer.ts";
import type { Publisher } from "../../../seeder/catalog/publish.ts";
import { importConfigSchema } from "../../../seeder/import/config.ts";
import { createImporter } from "../../../seeder/import/importer.ts";
import { serveHttp } from "../../fixtures/http-server.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { makeTorrent, seedWithSwarm } from "../../fixtures/torrents.ts";
import { startTracker } from "../../fixtures/tracker.ts";

const log = pino({ level: "silent" });
const data = randomBytes(40 * 1024 * 1024 + 12_345);
const digest = createHash("sha256").update(data).digest("hex");

/** Takes bytes as the catalog does, and keeps only their digest; refuses the name "taken". */
function hashingPublisher(): Publisher & { published: Map<string, string> } {
  const published = new Map<string, string>();
  const admit: Publisher["admit"] = async ({ name }) => {
    if (name === "taken") throw new Problem("already-exists", "the name is taken");
  };
  return {
    published,
    admit,
    async publish(bytes, request) {
      await admit(request);
      const hash = createHash("sha256");
      let sizeBytes = 0;
      for await (const chunk of bytes) {
        request.signal?.throwIfAborted();
        sizeBytes += chunk.length;
        hash.update(chunk);
      }
      const found = hash.digest("hex");
      if (request.sha256 !== undefined && request.sha256 !== found)
        throw new Problem("data-loss", `sha256 is ${found}`);
      published.set(request.name, found);
      const image = {
        digest: found,
        names: [request.name],
        sizeBytes,
        format: "raw",
        virtualSizeBytes: sizeBytes,
      } as const;
      return { image: { ...image, names: [request.name], torrent: undefined, createdAtMs: 0 }, changed: true };
    },
  };
}

async function open(directory: string, config: object = {}, publisher = hashingPublisher()) {
  const importer = await createImporter({ config: importConfigSchema.parse(config), directory, publisher, log });
  onTestFinished(() => importer.close());
  return { importer, publisher };
}

function asked(fields: Partial<ImportRequest>): ImportRequest {
  return { source: "", torrentFile: new Uint8Array(), name: "disk", sha256: "", file: "", publicDht: false, ...fields };
}

async function ended(importer: Importer, id: string): Promise<Import> {
  let last: Import | undefined;
  for await (const now of importer.watch(id, new AbortController().signal)) last = now;
  return last as Import;
}

async function until(importer: Importer, id: string, fits: (now: Import) => boolean): Promise<Import> {
  for await (const now of importer.watch(id, new AbortController().signal)) if (fits(now)) return now;
  throw new Error("the import ended before");
}

const serveData = () => serveHttp((_, response) => response.end(data));
/** Sends half of the data and then nothing more. */
const serveHalf = () =>
  serveHttp((_, response) => {
    response.writeHead(200, { "content-length": data.length, etag: '"1"' });
    response.write(data.subarray(0, data.length / 2));
  });

/** Processes that run an import for this process. */
function childPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
        return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("import/child");
      } catch {
        return false;
      }
    })
    .map(Number);
}

test("a URL is imported whole, and nothing of the import stays", async () => {
  const directory = await temporaryDirectory();
  const { importer, publisher } = await open(directory);
  const { id } = await importer.start(asked({ source: await serveData(), sha256: digest.toUpperCase() }));
  const last = await ended(importer, id);
  expect(last.error).toBe("");
  expect(last).toMatchObject({ state: ImportState.PUBLISHED, digest, doneBytes: BigInt(data.length) });
  expect(publisher.published.get("disk")).toBe(digest);
  expect(readdirSync(join(directory, "pending"))).toEqual([]);
  expect(readdirSync(join(directory, "tmp"))).toEqual([]);
  expect(childPids()).toEqual([]);
  expect(importer.list().map((one) => one.id)).toEqual([id]);
});

test("another sha256 than asked for fails the import and says so", async () => {
  const { importer } = await open(await temporaryDirectory());
  const { id } = await importer.start(asked({ source: await serveData(), sha256: "0".repeat(64) }));
  expect(await ended(importer, id)).toMatchObject({ state: ImportState.FAILED, error: `sha256 is ${digest}` });
});

test("a URL where nobody is fails the import soon, and gives the name free; the try is logged", async () => {
  const lines: string[] = [];
  const importer = await createImporter({
    config: importConfigSchema.parse({}),
    directory: await temporaryDirectory(),
    publisher: hashingPublisher(),
    log: pino({}, { write: (line: string) => void lines.push(line) }),
  });
  onTestFinished(() => importer.close());
  const { id } = await importer.start(asked({ source: "http://127.0.0.1:1/x" }));
  expect(await ended(importer, id)).toMatchObject({
    state: ImportState.FAILED,
    error: expect.stringMatching(/^nobody answers at http:\/\/127.0.0.1:1\/x .*; check the URL$/),
  });
  expect(lines.filter((line) => line.includes("is asked again"))).toHaveLength(1);
  const second = await importer.start(asked({ source: await serveData() }));
  expect(await ended(importer, second.id)).toMatchObject({ state: ImportState.PUBLISHED });
});

test("a name that is taken is refused before anything is asked of the network", async () => {
  let requests = 0;
  const url = await serveHttp((_, response) => response.end(String(requests++)));
  const { importer } = await open(await temporaryDirectory());
  await expect(importer.start(asked({ source: url, name: "taken" }))).rejects.toThrow("the name is taken");
  expect(requests).toBe(0);
  expect(importer.list()).toEqual([]);
});

test("a torrent file is imported from a seed that its tracker names", async () => {
  const tracker = await startTracker();
  onTestFinished(() => tracker.close());
  const torrent = makeTorrent([{ path: "disk.raw", data }], {
    announce: tracker.announceUrl,
    pieceLengthBytes: 262_144,
  });
  const seed = await seedWithSwarm(torrent, await temporaryDirectory());
  onTestFinished(() => seed.close());
  tracker.addPeer(torrent.infohash, seed.address);
  const { importer } = await open(await temporaryDirectory());
  const { id } = await importer.start(asked({ torrentFile: torrent.metainfo }));
  const last = await ended(importer, id);
  expect(last.error).toBe("");
  expect(last).toMatchObject({ digest, source: "(torrent file)", sizeBytes: BigInt(data.length) });
});

test("a magnet link is imported from the peers it names, metadata and all", async () => {
  const torrent = makeTorrent([{ path: "disk.raw", data }], { pieceLengthBytes: 1_048_576 });
  const seed = await seedWithSwarm(torrent, await temporaryDirectory());
  onTestFinished(() => seed.close());
  const { importer } = await open(await temporaryDirectory());
  const { id } = await importer.start(asked({ source: `${torrent.magnet}&x.pe=${seed.address}` }));
  expect(await ended(importer, id)).toMatchObject({ error: "", digest });
});

test("the wanted file of a torrent of several is read, not a byte around it, and no path of the torrent is used", async () => {
  const parts = [randomBytes(100_000), randomBytes(333_333), randomBytes(200_000)] as const;
  const names = ["a", "../../../escaped", "c"];
  const torrent = makeTorrent(
    parts.map((part, index) => ({ path: names[index] as string, data: part })),
    { name: "folder" },
  );
  const seed = await seedWithSwarm(torrent, await temporaryDirectory());
  onTestFinished(() => seed.close());
  const directory = await temporaryDirectory();
  const { importer } = await open(join(directory, "deep/er/imports"));
  const magnet = `${torrent.magnet}&x.pe=${seed.address}`;
  const { id } = await importer.start(asked({ source: magnet, file: "c" }));
  const wanted = createHash("sha256").update(parts[2]).digest("hex");
  expect(await ended(importer, id)).toMatchObject({ error: "", digest: wanted });
  const second = await importer.start(asked({ source: magnet, name: "largest" }));
  const largest = createHash("sha256").update(parts[1]).digest("hex");
  expect(await ended(importer, second.id)).toMatchObject({ error: "", digest: largest });
  expect(readdirSync(directory)).toEqual(["deep"]);
  expect(existsSync(join(directory, "deep/escaped"))).toBe(false);
});

test("a torrent behind a URL is read, and one without peers names the web seed that it has", async () => {
  const torrent = makeTorrent([{ path: "disk.raw", data }], { pieceLengthBytes: 262_144 });
  const url = await serveHttp((_request, response) => response.end(torrent.metainfo));
  // A server that is in this process answers within it, however busy the machine.
  const { importer } = await open(await temporaryDirectory(), { idleTimeoutMs: 8_000 });
  const byFile = await importer.start(asked({ source: `${url}/a.torrent`, name: "a" }));
  const magnet = `${torrent.magnet}&ws=https%3A%2F%2Fexample.org%2Fdisk.raw`;
  const webSeeded = await importer.start(asked({ source: magnet, name: "b" }));
  expect((await ended(importer, byFile.id)).error).toMatch(/no peer of the torrent was found in 8 s.*--public-dht/);
  const { error } = await ended(importer, webSeeded.id);
  expect(error).toContain("import the torrent's web seed, which is not asked (https://example.org/disk.raw)");
});

test("what is no torrent, behind a URL that names one, is refused", async () => {
  const url = await serveHttp((_request, response) => response.end("junk"));
  const { importer } = await open(await temporaryDirectory());
  const bad = await importer.start(asked({ source: `${url}/b.torrent`, name: "b" }));
  expect((await ended(importer, bad.id)).error).toMatch(/no torrent that can be read/);
});

test("a torrent file made to keep its reader busy for ever is refused", async () => {
  const url = await serveHttp((_request, response) => response.end("d4:infol-3:"));
  const { importer } = await open(await temporaryDirectory());
  const { id } = await importer.start(asked({ source: `${url}/a.torrent` }));
  expect((await ended(importer, id)).error).toMatch(/no torrent that can be read \(malformed bencode at byte 8/);
});

test("a server that falls silent fails the import after the idle time", async () => {
  const { importer } = await open(await temporaryDirectory(), { idleTimeoutMs: 1_000 });
  const { id } = await importer.start(asked({ source: await serveHalf() }));
  const last = await ended(importer, id);
  expect(last).toMatchObject({ state: ImportState.FAILED, error: expect.stringContaining("sent nothing for 1 s") });
  expect(childPids()).toEqual([]);
});

test("an import that takes too long is ended", async () => {
  const { importer } = await open(await temporaryDirectory(), { timeoutMs: 1_000 });
  const { id } = await importer.start(asked({ source: await serveHalf() }));
  expect((await ended(importer, id)).error).toContain("not done after 1 s; allow more with import.timeoutMs");
});

test("a peer that announces an endless message is hung up on, and memory stays bounded", async () => {
  const torrent = makeTorrent([{ path: "disk.raw", data: randomBytes(100_000) }]);
  const floodBytes = 300 * 1024 * 1024;
  let sentBytes = 0;
  const peer = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      const reserved = Buffer.alloc(8);
      const id = Buffer.alloc(20, "x");
      socket.write(
        Buffer.concat([Buffer.from("\x13BitTorrent protocol"), reserved, Buffer.from(torrent.infohash, "hex"), id]),
      );
      socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 5]));
      const flood = () => {
        if (socket.destroyed || sentBytes >= floodBytes) return;
        sentBytes += 65_536;
        socket.write(Buffer.alloc(65_536), () => setImmediate(flood));
      };
      flood();
    });
  });
  await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void peer.close());
  const address = `127.0.0.1:${(peer.address() as AddressInfo).port}`;
  const { importer } = await open(await temporaryDirectory(), { idleTimeoutMs: 2_000, memoryMiB: 512 });
  const { id } = await importer.start(asked({ source: `${torrent.magnet}&x.pe=${address}` }));
  expect((await ended(importer, id)).error).toMatch(/peer/);
  expect(sentBytes).toBeLessThan(floodBytes);
});

test("a process beyond its memory is killed, and the message says which key allows more", async () => {
  const { importer } = await open(await temporaryDirectory());
  await importer.close();
  const publisher = hashingPublisher();
  const small = { ...importConfigSchema.parse({}), memoryMiB: 20 };
  const second = await createImporter({ config: small, directory: await temporaryDirectory(), publisher, log });
  onTestFinished(() => second.close());
  const { id } = await second.start(asked({ source: await serveHalf() }));
  expect((await ended(second, id)).error).toMatch(/MiB of memory; allow more with import.memoryMiB/);
});

test("a cancelled import is gone, process and files", async () => {
  const directory = await temporaryDirectory();
  const { importer } = await open(directory);
  const { id } = await importer.start(asked({ source: await serveHalf() }));
  await until(importer, id, (now) => now.doneBytes > 0n);
  expect(childPids()).toHaveLength(1);
  expect(await importer.cancel(id)).toMatchObject({ state: ImportState.CANCELLED, error: "" });
  expect(childPids()).toEqual([]);
  expect(readdirSync(join(directory, "pending"))).toEqual([]);
  expect(readdirSync(join(directory, "tmp"))).toEqual([]);
  expect(await importer.cancel(id)).toMatchObject({ state: ImportState.CANCELLED });
  await expect(importer.cancel("nonsense")).rejects.toThrow('no import "nonsense"');
});

test("only so many run at once, in order, and a queued one can be cancelled", async () => {
  const { importer } = await open(await temporaryDirectory(), { concurrency: 1 });
  const url = await serveHalf();
  const first = await importer.start(asked({ source: url, name: "a" }));
  const second = await importer.start(asked({ source: await serveData(), name: "b" }));
  const third = await importer.start(asked({ source: url, name: "c" }));
  expect(first.state).toBe(ImportState.ACTIVE);
  expect(second.state).toBe(ImportState.QUEUED);
  expect((await importer.cancel(third.id)).state).toBe(ImportState.CANCELLED);
  await importer.cancel(first.id);
  expect(await ended(importer, second.id)).toMatchObject({ state: ImportState.PUBLISHED, digest });
});

test("two imports of one name at once are refused", async () => {
  const { importer } = await open(await temporaryDirectory());
  const url = await serveHalf();
  await importer.start(asked({ source: url }));
  await expect(importer.start(asked({ source: url }))).rejects.toThrow(
    /runs already; .*bootswarm cancel-import [0-9a-f-]+`/,
  );
});

test("an import is started over by the next seeder on the directory, and counted", async () => {
  const directory = await temporaryDirectory();
  let stalling = true;
  const url = await serveHttp((_, response) => {
    response.writeHead(200, { "content-length": data.length });
    if (stalling) response.write(data.subarray(0, 1_000_000));
    else response.end(data);
  });
  const { importer } = await open(directory);
  const { id } = await importer.start(asked({ source: url }));
  await until(importer, id, (now) => now.doneBytes > 0n);
  await importer.close();
  expect(childPids()).toEqual([]);
  stalling = false;
  const { importer: next } = await open(directory);
  expect(await ended(next, id)).toMatchObject({ state: ImportState.PUBLISHED, restarts: 1, digest });
});

test("an import that was there at every one of many restarts is given up", async () => {
  const directory = await temporaryDirectory();
  const url = await serveHalf();
  const { importer } = await open(directory);
  const { id } = await importer.start(asked({ source: url }));
  await importer.close();
  for (let restart = 1; restart <= 5; restart++) await (await open(directory)).importer.close();
  const { importer: last } = await open(directory);
  expect(await ended(last, id)).toMatchObject({ state: ImportState.FAILED, error: expect.stringContaining("5 times") });
});

test("a pending file that is damaged is put away, and the rest is started", async () => {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, "pending"));
  await writeFile(join(directory, "pending", "00000000-0000-0000-0000-000000000000.json"), "{");
  const { importer } = await open(directory);
  expect(importer.list()).toEqual([]);
  expect(readdirSync(join(directory, "pending"))).toEqual([]);
});
