import { createHash, randomBytes } from "node:crypto";
import { cp, mkdir, readdir, readFile, readlink, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Code, ConnectError } from "@connectrpc/connect";
import parseTorrent from "parse-torrent";
import pino from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { ImageFormat } from "../../../proto/gen/bootswarm/image/v1/image_pb.js";
import { ImageEvent } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { emptyQcow2, qcow2Header } from "./qcow2-header.ts";
import { type RunningSeeder, startSeeder } from "./running-seeder.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** What an upload is answered: an image, or an error. */
interface Answer {
  digest?: string;
  names?: string[];
  infohash?: string;
  magnetUri?: string;
  code?: string;
  message?: string;
}

/** Uploads and gives the status and the JSON. */
async function put({ url }: RunningSeeder, name: string, body: string | Uint8Array | ReadableStream, query = "") {
  const response = await fetch(`${url}/images/${name}${query}`, {
    method: "PUT",
    body: body as string,
    duplex: "half",
  } as RequestInit);
  return { status: response.status, json: (await response.json()) as Answer };
}

const get = ({ url }: RunningSeeder, path: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/images/${path}`, { headers });

/** What is in the data directory besides images: nothing, if an upload left nothing behind. */
async function leftovers({ dataDirectory }: RunningSeeder) {
  return { images: await readdir(join(dataDirectory, "images")), tmp: await readdir(join(dataDirectory, "tmp")) };
}

/** How many files of images this process has open. */
async function openImages({ dataDirectory }: RunningSeeder): Promise<number> {
  const links = await readdir("/proc/self/fd");
  const paths = await Promise.all(links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return paths.filter((path) => path.startsWith(dataDirectory) && path.endsWith("/data")).length;
}

/** The head and body of an answer in JSON, as they came. */
async function jsonAnswerOn(socket: Socket): Promise<string> {
  let text = "";
  for await (const data of socket) {
    text += String(data);
    if (text.endsWith("}\n")) break;
  }
  return text;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

describe("an upload", () => {
  test("is published with its digest and magnet in the answer, and is there by HTTP and as a torrent", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(3_000_000);
    const digest = sha256(bytes);
    const { status, json } = await put(seeder, "debian-12", bytes);
    expect(status).toBe(201);
    expect(json).toMatchObject({ digest, names: ["debian-12"], sizeBytes: "3000000", format: "IMAGE_FORMAT_RAW" });
    expect(Buffer.from(await (await get(seeder, "debian-12/data")).arrayBuffer()).equals(bytes)).toBe(true);

    const response = await get(seeder, `${digest}.torrent`);
    expect(response.headers.get("content-type")).toBe("application/x-bittorrent");
    const torrent = await parseTorrent(new Uint8Array(await response.arrayBuffer()));
    expect(torrent).toMatchObject({ infoHash: json.infohash, length: bytes.length, announce: [] });
    expect(await parseTorrent(json.magnetUri ?? "")).toMatchObject({ infoHash: json.infohash });
    expect(await leftovers(seeder)).toEqual({ images: [digest], tmp: [] });
  });

  test("of unknown length is taken too", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(2_500_000);
    const { status, json } = await put(seeder, "chunked", new Blob([bytes]).stream());
    expect({ status, digest: json.digest }).toEqual({ status: 201, digest: sha256(bytes) });
  });

  test("over HTTP/2 is taken too", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(500_000);
    const session = connectHttp2(seeder.url);
    const request = session.request({ ":method": "PUT", ":path": "/images/h2" });
    const answer = new Promise((resolve) => request.on("response", (headers) => resolve(headers[":status"])));
    request.end(bytes);
    expect(await answer).toBe(201);
    session.close();
    expect((await seeder.catalog.getImage({ image: "h2" })).image?.digest).toBe(sha256(bytes));
  });

  test("of a qcow2 tells the size that a guest sees", async () => {
    const seeder = await startSeeder();
    const bytes = Buffer.concat([emptyQcow2(40 * 1024 ** 3), randomBytes(100_000)]);
    await put(seeder, "disk", bytes);
    const { image } = await seeder.catalog.getImage({ image: "disk" });
    expect(image).toMatchObject({ format: ImageFormat.QCOW2, virtualSizeBytes: 40n * 1024n ** 3n });
  });

  test("of the same bytes under the same name changes nothing; under another, adds the name", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(10_000);
    await put(seeder, "one", bytes);
    expect((await put(seeder, "one", bytes)).status).toBe(200);
    const again = await put(seeder, "two", bytes);
    expect(again).toMatchObject({ status: 201, json: { names: ["one", "two"] } });
    expect(await leftovers(seeder)).toEqual({ images: [sha256(bytes)], tmp: [] });
  });

  test("of other bytes under a taken name is refused, and names the image that has it", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(10_000);
    await put(seeder, "one", bytes);
    const { status, json } = await put(seeder, "one", randomBytes(10_000));
    expect(status).toBe(409);
    expect(json).toMatchObject({ code: "already_exists", message: expect.stringContaining(sha256(bytes)) });
    expect(await leftovers(seeder)).toEqual({ images: [sha256(bytes)], tmp: [] });
  });

  test("whose sha256 is known to clash is refused before its bytes are read", async () => {
    const seeder = await startSeeder();
    await put(seeder, "one", randomBytes(10_000));
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1");
    // A body is announced and never sent.
    socket.write(`PUT /images/one?sha256=${"a".repeat(64)} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`);
    const answer = await jsonAnswerOn(socket);
    expect(answer).toMatch(/^HTTP\/1.1 409 /);
    socket.destroy();
  });

  test.each([
    ["another sha256 than given", "x", `?sha256=${"a".repeat(64)}`, 422, /have sha256 [0-9a-f]{64}, not aaaa/],
    ["no bytes", "", "", 400, /image is empty/],
    ["a sha256 that is none", "x", "?sha256=abc", 400, /no sha256/],
    ["a wish that is none", "x", "?torrent=maybe", 400, /true or false/],
    [
      "a sha256 under a wrong word",
      "x",
      `?sha25=${"a".repeat(64)}`,
      400,
      /no parameter "sha25"; the nearest is "sha256"/,
    ],
    ["a parameter twice", "x", "?torrent=true&torrent=false", 400, /"torrent" is given twice/],
    [
      "a qcow2 that ends after its header",
      emptyQcow2(1024 ** 3).subarray(0, 200),
      "",
      400,
      /cut off: it has 200 bytes/,
    ],
    [
      "a qcow2 of unknown length that is cut",
      new Blob([emptyQcow2(1024 ** 3).subarray(0, 90_000)]),
      "",
      400,
      /cut off/,
    ],
    ["a qcow2 with a backing file", qcow2Header({ backingFileOffset: 512n }), "", 400, /backing file/],
  ])("with %s is refused and leaves nothing", async (_what, body, query, status, message) => {
    const seeder = await startSeeder();
    const answer = await put(seeder, "bad", body instanceof Blob ? body.stream() : body, query);
    expect(answer).toMatchObject({ status, json: { message: expect.stringMatching(message) } });
    expect(await leftovers(seeder)).toEqual({ images: [], tmp: [] });
  });

  test.each([
    ["", /^"" cannot be an image's name; use 1 to 128 of/],
    ["..%2fescape", /^"..\/escape" cannot be/],
    ["..%2f..", /^"..\/.." cannot be/],
    ["a%2fb", /^"a\/b" cannot be/],
    ["a/b", /^"a\/b" cannot be/],
    ["a/data", /^"a\/data" cannot be/],
    ["%", /^"%" cannot be/],
    ["a".repeat(129), /^"a+..." cannot be/],
    ["a".repeat(2_000), /^"a+..." cannot be/],
    ["f".repeat(64), /looks like a sha256/],
    ["x.torrent", /^"x.torrent" cannot be an image's name, because it ends in .torrent/],
  ])("to the name %j is refused, and says what a name may be", async (name, message) => {
    const seeder = await startSeeder();
    const answer = await put(seeder, name, "bytes");
    expect(answer).toMatchObject({
      status: 400,
      json: { code: "invalid_argument", message: expect.stringMatching(message) },
    });
    expect(await leftovers(seeder)).toEqual({ images: [], tmp: [] });
  });

  test("for which there is no room is refused before its bytes are read, and is no failure of the seeder", async () => {
    const lines: string[] = [];
    const seeder = await startSeeder({}, pino({ level: "warn" }, { write: (line: string) => void lines.push(line) }));
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`PUT /images/huge HTTP/1.1\r\nHost: x\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`);
    expect(await jsonAnswerOn(socket)).toMatch(/^HTTP\/1.1 507 .*"resource_exhausted".*retire images/s);
    socket.destroy();
    const metrics = await (await fetch(`${seeder.url}/metrics`)).text();
    expect(metrics).toContain('uploads_total{result="refused"} 1');
    expect(lines).toEqual([]);
  });

  test("that is cut leaves nothing", async () => {
    const seeder = await startSeeder();
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`PUT /images/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n`);
    socket.write(randomBytes(2_000_000));
    await until(async () => (await leftovers(seeder)).tmp.length === 1);
    socket.destroy();
    await until(async () => (await leftovers(seeder)).tmp.length === 0);
    expect((await leftovers(seeder)).images).toEqual([]);
    const metrics = async () => (await fetch(`${seeder.url}/metrics`)).text();
    await until(async () => (await metrics()).includes('uploads_total{result="cut"} 1'));
  });

  test("that goes silent is dropped, with an answer that says so", async () => {
    const seeder = await startSeeder({ "upload.idleTimeoutMs": 100 });
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`PUT /images/silent HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\nsome bytes`);
    const answer = await jsonAnswerOn(socket);
    expect(answer).toMatch(/^HTTP\/1.1 503 .*no byte came for 0.1 s/s);
    socket.destroy();
    expect(await leftovers(seeder)).toEqual({ images: [], tmp: [] });
  });

  test("beyond the number that may run at once is refused", async () => {
    const seeder = await startSeeder({ "upload.concurrency": 1 });
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`PUT /images/first HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\nsome bytes`);
    await until(async () => (await leftovers(seeder)).tmp.length === 1);
    expect(await put(seeder, "second", "bytes")).toMatchObject({
      status: 503,
      json: { code: "unavailable", message: expect.stringContaining("try again") },
    });
    socket.destroy();
  });

  test("under way when the seeder stops leaves nothing", async () => {
    const seeder = await startSeeder();
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1").on("error", () => {});
    socket.write(`PUT /images/first HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n`);
    socket.write(randomBytes(1_500_000));
    await until(async () => (await leftovers(seeder)).tmp.length === 1);
    const again = await seeder.restart();
    expect(await leftovers(again)).toEqual({ images: [], tmp: [] });
    expect((await again.catalog.listImages({})).images).toEqual([]);
  });
});

describe("a download", () => {
  test("answers ranges, HEAD and preconditions", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(2_000_000);
    const digest = sha256(bytes);
    await put(seeder, "one", bytes);
    const part = await get(seeder, `${digest}/data`, { range: "bytes=1000-1999" });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe("bytes 1000-1999/2000000");
    expect(part.headers.get("etag")).toBe(`"${digest}"`);
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(1_000, 2_000))).toBe(true);
    const beyond = await get(seeder, "one/data", { range: "bytes=2000000-" });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */2000000"]);
    expect((await get(seeder, "one/data", { "if-none-match": `"${digest}"` })).status).toBe(304);
    const head = await fetch(`${seeder.url}/images/one/data`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, "2000000"]);
    expect(head.headers.get("accept-ranges")).toBe("bytes");
  });

  test("of an image that is not there says so in JSON", async () => {
    const seeder = await startSeeder();
    const response = await get(seeder, "nothing/data");
    expect([response.status, await response.json()]).toEqual([
      404,
      { code: "not_found", message: "there is no image nothing in the catalog" },
    ]);
    const wrong = await fetch(`${seeder.url}/images/nothing/data`, { method: "POST", body: "x" });
    expect(wrong.status).toBe(400);
    for (const path of ["", "a/b", "%", "a/data/"]) {
      const nowhere = await get(seeder, path);
      expect([nowhere.status, await nowhere.json()]).toMatchObject([404, { code: "not_found" }]);
    }
  });

  test.each([
    ["goes away", {}, (socket: Socket) => socket.destroy()],
    ["takes nothing", { "download.idleTimeoutMs": 100 }, () => {}],
  ])("of a client that %s is let go of", async (_what, settings, then) => {
    const seeder = await startSeeder(settings);
    await put(seeder, "one", randomBytes(20_000_000));
    const before = await openImages(seeder);
    const { port } = new URL(seeder.url);
    const socket = connect(Number(port), "127.0.0.1").on("error", () => {});
    onTestFinished(() => void socket.destroy());
    socket.write("GET /images/one/data HTTP/1.1\r\nHost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
    await until(async () => (await openImages(seeder)) > before);
    then(socket);
    await until(async () => (await openImages(seeder)) === before);
  });
});

describe("a torrent", () => {
  test("can be left out, and made later", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(700_000);
    const { json } = await put(seeder, "plain", bytes, "?torrent=false");
    expect(json.magnetUri ?? "").toBe("");
    expect((await get(seeder, "plain.torrent")).status).toBe(404);
    const { image } = await seeder.catalog.createTorrent({ image: "plain" });
    expect(image?.magnetUri).toContain(`magnet:?xt=urn:btih:${image?.infohash}`);
    expect((await get(seeder, "plain.torrent")).status).toBe(200);
    expect((await seeder.catalog.createTorrent({ image: "plain" })).image?.infohash).toBe(image?.infohash);
  });

  test("is the same whether made in passing or later", async () => {
    const [one, two] = [await startSeeder(), await startSeeder()];
    const bytes = randomBytes(700_000);
    const { json } = await put(one, "a", bytes);
    await put(two, "b", bytes, "?torrent=false");
    const { image } = await two.catalog.createTorrent({ image: "b" });
    expect(image?.infohash).toBe(json.infohash);
  });

  test("comes with a second upload of an image that had none", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(10_000);
    await put(seeder, "one", bytes, "?torrent=false");
    const { json } = await put(seeder, "one", bytes);
    expect(json.infohash).toMatch(/^[0-9a-f]{40}$/);
  });

  test("names the seeder as a peer where its host is configured", async () => {
    const seeder = await startSeeder({ "swarm.advertiseHost": "seeder.example" });
    const { json } = await put(seeder, "one", "some bytes");
    expect(json.magnetUri).toContain(`&x.pe=seeder.example:${seeder.seeder.peerPort}`);
  });
});

describe("retiring", () => {
  test("a name leaves the others; the last takes the image along", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(10_000);
    await put(seeder, "one", bytes);
    await put(seeder, "two", bytes);
    expect((await seeder.catalog.retireImage({ image: "one" })).image?.names).toEqual(["two"]);
    expect((await get(seeder, "one/data")).status).toBe(404);
    expect((await get(seeder, "two/data")).status).toBe(200);
    expect((await seeder.catalog.retireImage({ image: "two" })).image?.names).toEqual([]);
    expect((await get(seeder, `${sha256(bytes)}/data`)).status).toBe(404);
    expect(await leftovers(seeder)).toEqual({ images: [], tmp: [] });
    expect((await put(seeder, "one", bytes)).status).toBe(201);
  });

  test("a digest takes all names along", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(10_000);
    await put(seeder, "one", bytes);
    await put(seeder, "two", bytes);
    await seeder.catalog.retireImage({ image: sha256(bytes) });
    expect((await seeder.catalog.listImages({})).images).toEqual([]);
  });

  test("what is not there is an error", async () => {
    const seeder = await startSeeder();
    const error = await seeder.catalog.retireImage({ image: "none" }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ConnectError);
    expect((error as ConnectError).code).toBe(Code.NotFound);
  });
});

test("a watch sees what is there, then every change", async () => {
  const seeder = await startSeeder();
  await put(seeder, "one", "bytes", "?torrent=false");
  const stop = new AbortController();
  const seen: [ImageEvent, string[]][] = [];
  const steps = [
    () => put(seeder, "two", "other bytes"),
    () => put(seeder, "three", "other bytes"),
    () => seeder.catalog.createTorrent({ image: "one" }),
    () => seeder.catalog.retireImage({ image: "one" }),
  ];
  try {
    for await (const { event, image } of seeder.catalog.watchImages({}, { signal: stop.signal })) {
      seen.push([event, image?.names ?? []]);
      const step = steps.shift();
      if (!step) break;
      await step();
    }
  } finally {
    stop.abort();
  }
  expect(seen).toEqual([
    [ImageEvent.EXISTS, ["one"]],
    [ImageEvent.PUBLISHED, ["two"]],
    [ImageEvent.CHANGED, ["two", "three"]],
    [ImageEvent.CHANGED, ["one"]],
    [ImageEvent.RETIRED, []],
  ]);
});

/** Restarts a seeder after its database was deleted. */
async function loseDatabase(seeder: RunningSeeder): Promise<RunningSeeder> {
  await seeder.seeder.close();
  for (const ending of ["", "-wal", "-shm"]) {
    await rm(join(seeder.dataDirectory, `seeder.sqlite${ending}`), { force: true });
  }
  return await seeder.restart();
}

describe("a restart", () => {
  test("loses nothing, and what a crash left is cleaned up", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(1_000_000);
    await put(seeder, "one", bytes);
    await put(seeder, "plain", "no torrent", "?torrent=false");
    const before = await seeder.catalog.listImages({});
    await mkdir(join(seeder.dataDirectory, "images", "e".repeat(64)));
    await writeFile(join(seeder.dataDirectory, "tmp", "half"), "half an upload");
    const again = await seeder.restart();
    expect((await again.catalog.listImages({})).images).toEqual(before.images);
    expect(Buffer.from(await (await get(again, "one/data")).arrayBuffer()).equals(bytes)).toBe(true);
    const left = await leftovers(again);
    expect(left.tmp).toEqual([]);
    expect(left.images.sort()).toEqual(before.images.map(({ digest }) => digest).sort());
    expect(await (await fetch(`${again.url}/metrics`)).text()).toContain("bootswarm_seeder_torrents 1");
  });

  test("without its database knows its images again with their names, and none that was retired", async () => {
    const seeder = await startSeeder();
    const { digest, infohash } = (await put(seeder, "one", "some bytes")).json as Required<Answer>;
    await put(seeder, "two", "some bytes");
    await put(seeder, "three", "some bytes");
    await seeder.catalog.retireImage({ image: "two" });
    await put(seeder, "gone", "other bytes");
    await seeder.catalog.retireImage({ image: "gone" });
    const again = await loseDatabase(seeder);
    const { images } = await again.catalog.listImages({});
    expect(images).toMatchObject([{ digest, names: ["one", "three"], infohash }]);
    expect(await (await get(again, "three/data")).text()).toBe("some bytes");
  });

  test("without its database, and without what was written beside its images, keeps their files until they are published again", async () => {
    const seeder = await startSeeder();
    const { digest } = (await put(seeder, "one", "some bytes")).json as Required<Answer>;
    await rm(join(seeder.dataDirectory, "images", digest, "image.json"));
    const again = await loseDatabase(seeder);
    expect((await again.catalog.listImages({})).images).toEqual([]);
    expect((await get(again, `${digest}/data`)).status).toBe(404);
    expect(await readFile(join(again.dataDirectory, "images", digest, "data"), "utf8")).toBe("some bytes");
    expect(await put(again, "one", "some bytes")).toMatchObject({ status: 201, json: { digest } });
    const third = await again.restart();
    expect(await (await get(third, "one/data")).text()).toBe("some bytes");
  });

  test("with an earlier copy of its database takes in what was published since, and says what", async () => {
    const seeder = await startSeeder();
    await put(seeder, "before", "some bytes");
    await seeder.seeder.close();
    const database = join(seeder.dataDirectory, "seeder.sqlite");
    await cp(database, `${database}.copy`);
    const second = await seeder.restart();
    await put(second, "since", "other bytes");
    await second.seeder.close();
    await cp(`${database}.copy`, database);
    const lines: string[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
    const third = await startSeeder({ dataDirectory: seeder.dataDirectory }, log);
    const { images } = await third.catalog.listImages({});
    expect(images.map(({ names }) => names)).toEqual([["before"], ["since"]]);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ images: 1, names: ["since"] });
  });

  test("without its database knows an image again whose retirement has failed", async () => {
    const seeder = await startSeeder();
    await put(seeder, "one", "some bytes");
    await seeder.seeder.close();
    const database = new DatabaseSync(join(seeder.dataDirectory, "seeder.sqlite"));
    database.exec("create trigger faulty before delete on images begin select raise(abort, 'out of order'); end");
    database.close();
    const second = await seeder.restart();
    await expect(second.catalog.retireImage({ image: "one" })).rejects.toThrow("out of order");
    const again = await loseDatabase(second);
    expect((await again.catalog.listImages({})).images).toMatchObject([{ names: ["one"] }]);
  });

  test("without its database brings no name back that was retired while the disk was full", async () => {
    const seeder = await startSeeder();
    const { digest } = (await put(seeder, "one", "some bytes")).json as Required<Answer>;
    await put(seeder, "two", "some bytes");
    // Where what is written beside images comes into being.
    await rm(join(seeder.dataDirectory, "tmp"), { recursive: true });
    await seeder.catalog.retireImage({ image: "two" });
    const again = await loseDatabase(seeder);
    const { images } = await again.catalog.listImages({});
    expect(images.flatMap(({ names }) => names)).not.toContain("two");
    expect(await readFile(join(again.dataDirectory, "images", digest, "data"), "utf8")).toBe("some bytes");
  });

  test("without its database starts whatever has become of what was written beside its images", async () => {
    const seeder = await startSeeder();
    const digests: string[] = [];
    for (const name of ["one", "two", "three"]) digests.push((await put(seeder, name, name)).json.digest as string);
    const [unreadable, doubled] = digests.map((digest) => join(seeder.dataDirectory, "images", digest, "image.json"));
    await rm(unreadable as string);
    await mkdir(unreadable as string);
    const card = JSON.parse(await readFile(doubled as string, "utf8")) as { names: string[] };
    await writeFile(doubled as string, JSON.stringify({ ...card, names: ["two", "two"] }));
    const again = await loseDatabase(seeder);
    const { images } = await again.catalog.listImages({});
    expect(images.map(({ names }) => names)).toEqual([["three"]]);
    expect((await readdir(join(again.dataDirectory, "images"))).sort()).toEqual([...digests].sort());
  });

  test("removes what a crash left of an image that was retired, or not in the catalog yet", async () => {
    const seeder = await startSeeder();
    const { digest } = (await put(seeder, "one", "some bytes")).json as Required<Answer>;
    const images = join(seeder.dataDirectory, "images");
    await cp(join(images, digest), join(images, "d".repeat(64)), { recursive: true });
    await writeFile(join(images, "d".repeat(64), "unconfirmed"), "");
    await cp(join(images, digest), join(seeder.dataDirectory, "kept"), { recursive: true });
    await seeder.catalog.retireImage({ image: "one" });
    await rename(join(seeder.dataDirectory, "kept"), join(images, digest));
    expect((await leftovers(await seeder.restart())).images).toEqual([]);
  });

  test.each([
    ["missing", (path: string) => rm(path)],
    ["cut", (path: string) => truncate(path, 10)],
  ])("with an image's data %s serves the others, and takes it again when it is published again", async (_how, harm) => {
    const seeder = await startSeeder();
    const bytes = randomBytes(100_000);
    await put(seeder, "good", "good bytes");
    await put(seeder, "bad", bytes);
    const { infohash } = (await seeder.catalog.getImage({ image: "bad" })).image ?? {};
    await harm(join(seeder.dataDirectory, "images", sha256(bytes), "data"));
    const again = await seeder.restart();
    expect((await get(again, "good/data")).status).toBe(200);
    const refused = await get(again, "bad/data");
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain("publish it again");
    expect(await put(again, "bad", bytes)).toMatchObject({ status: 201, json: { infohash } });
    expect((await get(again, "bad/data")).status).toBe(200);
  });

  test("with an image's torrent lost serves it by HTTP, and makes the torrent again when asked", async () => {
    const seeder = await startSeeder();
    const bytes = randomBytes(100_000);
    const { json } = await put(seeder, "one", bytes);
    const metainfo = join(seeder.dataDirectory, "images", sha256(bytes), "metainfo");
    await writeFile(metainfo, "garbage");
    const again = await seeder.restart();
    expect((await get(again, "one/data")).status).toBe(200);
    expect((await get(again, "one.torrent")).status).toBe(422);
    const { image } = await again.catalog.createTorrent({ image: "one" });
    expect(image?.infohash).toBe(json.infohash);
    expect((await stat(metainfo)).size).toBeGreaterThan(20);
  });
});

describe("a start", () => {
  test("on a directory that another seeder has is refused", async () => {
    const seeder = await startSeeder();
    await expect(startSeeder({ dataDirectory: seeder.dataDirectory })).rejects.toThrow(/in use by another process/);
    expect((await fetch(`${seeder.url}/readyz`)).status).toBe(200);
  });

  test("on a path that is no directory is refused, and says how to choose another", async () => {
    const seeder = await startSeeder();
    const path = join(seeder.dataDirectory, "seeder.sqlite");
    await expect(startSeeder({ dataDirectory: path })).rejects.toThrow(/cannot use .* as the data directory.*--data/);
  });

  test.each([
    ["the API's port", "listen", (seeder: RunningSeeder) => seeder.url.replace("http://", ""), /in use.*--listen/],
    ["the peers' port", "swarm.port", (seeder: RunningSeeder) => seeder.seeder.peerPort, /TCP port.*--set swarm.port/],
    ["the DHT's port", "dht.port", (seeder: RunningSeeder) => seeder.seeder.dhtPort, /UDP port.*--set dht.port/],
  ])("with %s taken is refused, and gives back what it had taken", async (_what, key, taken, message) => {
    const seeder = await startSeeder();
    const other = await startSeeder();
    await other.seeder.close();
    const settings = { dataDirectory: other.dataDirectory };
    await expect(startSeeder({ ...settings, [key]: taken(seeder) })).rejects.toThrow(message);
    await startSeeder(settings);
  });
});

test("all of the seeder's metrics are there", async () => {
  const seeder = await startSeeder();
  await put(seeder, "one", "bytes");
  await get(seeder, "one/data");
  const metrics = async () => (await fetch(`${seeder.url}/metrics`)).text();
  // A request is counted when its answer has gone out, which the client may see first.
  await until(async () => (await metrics()).includes('origin_requests_total{code="200"}'));
  const text = await metrics();
  for (const line of [
    "bootswarm_seeder_images 1",
    "bootswarm_seeder_images_bytes 5",
    'bootswarm_seeder_uploads_total{result="published"} 1',
    "bootswarm_seeder_upload_bytes_total 5",
    "bootswarm_seeder_publish_seconds_count 1",
    "bootswarm_seeder_origin_sent_bytes_total 5",
    'bootswarm_seeder_origin_requests_total{code="200"} 1',
    "bootswarm_seeder_sent_bytes_total 0",
    "bootswarm_seeder_peers 0",
    "bootswarm_seeder_dht_nodes 0",
    'bootswarm_seeder_nodes{state="up"} 0',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  expect((await readFile(join(seeder.dataDirectory, "lock.pid"), "utf8")).trim()).toBe(String(process.pid));
});
