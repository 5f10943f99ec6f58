/** A live NBD server and clients good and bad. */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { type Disk, DiskReadError, type Extent } from "../../../agent/disk/disk.ts";
import type { NbdExport } from "../../../agent/disk/nbd/export.ts";
import { LargeReads } from "../../../agent/disk/nbd/large-reads.ts";
import { connectionsMax, handshakeTimeoutMs, unsentBytesMax, waitingBytesMax } from "../../../agent/disk/nbd/limits.ts";
import {
  command,
  commandFlag,
  nbdError,
  option,
  optionReply,
  requestBytes,
  transmissionFlag,
} from "../../../agent/disk/nbd/protocol.ts";
import { Replies } from "../../../agent/disk/nbd/replies.ts";
import { ReplyBuffers } from "../../../agent/disk/nbd/reply-buffers.ts";
import { NbdServer } from "../../../agent/disk/nbd/server.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import type { Clock } from "../../../swarm/types.ts";
import { infoData, metaData, NbdClient, optionBytes, requestOf } from "../../fixtures/nbd-client.ts";
import { eventually } from "../../fixtures/processes.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const sizeBytes = 3 * 1024 * 1024 + 5;
const bytes = randomBytes(sizeBytes);
/** From here on the disk is a hole, up to `holeEnd`. */
const holeStart = 1024 * 1024;
const holeEnd = 2 * 1024 * 1024;
bytes.fill(0, holeStart, holeEnd);
/** Reads of this range fail, as a bad sector would. */
const badStart = 2_500_000;

/** A disk in memory. What is read in the background waits for `release`, where that is set. */
class MemoryDisk implements Disk {
  readonly sizeBytes = sizeBytes;
  quick = true;
  here = true;
  reading = 0;
  aborted = 0;
  release: Promise<void> | undefined;

  preadNow(target: Uint8Array, offset: number): boolean {
    if (!this.quick || touchesBad(offset, target.length)) return false;
    target.set(bytes.subarray(offset, offset + target.length));
    return true;
  }

  isHere(): boolean {
    return this.here;
  }

  async pread(target: Uint8Array, offset: number, signal: AbortSignal): Promise<void> {
    this.reading += 1;
    try {
      const gone = new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      await Promise.race([this.release, gone]);
    } catch (error) {
      this.aborted += 1;
      throw error;
    } finally {
      this.reading -= 1;
    }
    if (touchesBad(offset, target.length)) throw new DiskReadError("bad sector");
    target.set(bytes.subarray(offset, offset + target.length));
  }

  extents(offset: number, length: number): Extent[] {
    const cuts = [offset, holeStart, holeEnd, offset + length].filter((at) => at >= offset && at <= offset + length);
    const sorted = [...new Set(cuts)].sort((a, b) => a - b);
    return sorted.slice(1).map((end, index) => {
      const start = sorted[index] as number;
      return { offset: start, length: end - start, hole: start >= holeStart && end <= holeEnd };
    });
  }
}

function touchesBad(offset: number, length: number): boolean {
  return offset < badStart + 512 && offset + length > badStart;
}

/** A server with one export of a disk in memory. */
async function serving(clock: Clock = systemClock) {
  const socketPath = join(await temporaryDirectory(), "nbd.sock");
  const breaches: string[] = [];
  const failures: string[] = [];
  const disk = new MemoryDisk();
  const memory = { buffers: new ReplyBuffers(), largeReads: new LargeReads() };
  const onBreach = (reason: string) => breaches.push(reason);
  const server = await NbdServer.open({ listen: { socketPath }, memory, clock, onBreach });
  onTestFinished(() => server.close());
  const served: NbdExport = {
    name: "vda",
    description: "a disk",
    disk,
    counters: { connections: 0, reads: 0, readBytes: 0, errors: 0, lastReadAtMs: 0 },
    readFailed: (offset, length, error) => failures.push(`${offset}+${length}: ${(error as Error).message}`),
  };
  server.add(served);
  return { server, served, disk, socketPath, breaches, failures };
}

test("an export is listed, described, and chosen by name or by no name", async () => {
  const { socketPath } = await serving();
  using client = await NbdClient.connect(socketPath);
  client.sendFlags();
  const listed = await client.option(option.list);
  expect(listed.map(({ data }) => data.subarray(4).toString())).toEqual(["vda", ""]);
  const told = await client.option(option.info, infoData("vda", [1, 2, 3]));
  expect(told.map(({ data }) => (data.length >= 2 ? data.readUInt16BE(0) : -1))).toEqual([0, 1, 2, 3, -1]);
  expect((await client.option(option.go, infoData("other"))).at(-1)?.type).toBe(optionReply.unknown);
  expect((await client.option(option.go, infoData(""))).at(-1)?.type).toBe(optionReply.ack);
  expect((await client.read(0, 512)).data.equals(bytes.subarray(0, 512))).toBe(true);
});

test("the export's flags say that it is read-only and may have several connections", async () => {
  const { socketPath } = await serving();
  using client = await NbdClient.open(socketPath, "vda", true);
  const { hasFlags, readOnly, canMultiConn, sendDf, sendFlush } = transmissionFlag;
  const expected = hasFlags | readOnly | canMultiConn | sendDf | sendFlush;
  expect(client.flags & expected).toBe(expected);
  expect(client.sizeBytes).toBe(sizeBytes);
});

test("NBD_OPT_EXPORT_NAME works for old clients, with and without zeroes", async () => {
  const { socketPath } = await serving();
  for (const [flags, length] of [
    [0, 134],
    [1, 134],
    [3, 10],
  ] as const) {
    using client = await NbdClient.connect(socketPath);
    client.sendFlags(flags);
    client.sendOption(option.exportName, Buffer.from("vda"));
    expect(Number((await client.take(length)).readBigUInt64BE(0))).toBe(sizeBytes);
    expect((await client.read(100, 100)).data.equals(bytes.subarray(100, 200))).toBe(true);
  }
});

test("reads of any size come back right, many at once, from memory and in the background", async () => {
  const { socketPath, disk } = await serving();
  const lengths = fc.sample(fc.integer({ min: 1, max: 400_000 }), 40);
  const ranges = lengths.map((length, index) => ({ offset: (index * 313_337) % 2_000_000, length }));
  for (const [quick, structured] of [
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ] as const) {
    disk.quick = quick;
    using client = await NbdClient.open(socketPath, "", structured);
    const results = await client.readMany(ranges);
    const right = ranges.map(({ offset, length }, index) =>
      results[index]?.data.equals(bytes.subarray(offset, offset + length)),
    );
    expect(right.filter((is) => is)).toHaveLength(ranges.length);
  }
});

test("a large read comes in chunks, holes as holes; in one piece if the client says so", async () => {
  const { socketPath, disk } = await serving();
  using client = await NbdClient.open(socketPath, "", true);
  const range = { offset: 512 * 1024, length: 1024 * 1024 };
  const [quick] = await client.readMany([range]);
  expect(quick).toMatchObject({ holes: 2 });
  expect(quick?.data.equals(bytes.subarray(range.offset, range.offset + range.length))).toBe(true);
  disk.quick = false;
  const [parted] = await client.readMany([range]);
  expect(parted).toMatchObject({ chunks: 4, holes: 2 });
  expect(parted?.data.equals(bytes.subarray(range.offset, range.offset + range.length))).toBe(true);
  const [whole] = await client.readMany([range], commandFlag.df);
  expect(whole).toMatchObject({ chunks: 1, holes: 0 });
  const [tooLong] = await client.readMany([{ offset: 0, length: 1024 * 1024 + 1 }], commandFlag.df);
  expect(tooLong?.error).toBe(nbdError.overflow);
});

test("block status tells of holes, one extent at a time if asked", async () => {
  const { socketPath } = await serving();
  using client = await NbdClient.open(socketPath, "", true);
  const status = (offset: number, length: number, flags = 0) => client.blockStatus(offset, length, flags);
  expect(await status(holeStart - 10, 20)).toEqual([
    [10, 0],
    [10, 3],
  ]);
  expect(await status(holeStart - 10, 20, commandFlag.reqOne)).toEqual([[10, 0]]);
  expect(await status(0, 0)).toBe(nbdError.invalid);
  expect(await status(sizeBytes, 1)).toBe(nbdError.invalid);
});

test("metadata contexts are listed, and set for the export that is then chosen", async () => {
  const { socketPath } = await serving();
  using client = await NbdClient.connect(socketPath);
  client.sendFlags();
  await client.option(option.structuredReply);
  const names = async (code: number, queries: string[]) => {
    const answers = await client.option(code, metaData("vda", queries));
    return answers.slice(0, -1).map(({ data }) => data.subarray(4).toString());
  };
  expect(await names(option.listMetaContext, [])).toEqual(["base:allocation"]);
  expect(await names(option.listMetaContext, ["base:"])).toEqual(["base:allocation"]);
  expect(await names(option.listMetaContext, ["qemu:"])).toEqual([]);
  expect(await names(option.setMetaContext, ["base:allocation", "x-other:"])).toEqual(["base:allocation"]);
  // The last word counts.
  expect(await names(option.setMetaContext, [])).toEqual([]);
  await client.option(option.go, infoData("vda"));
  client.request(command.blockStatus, 1, 0, 512);
  expect(await client.reply()).toMatchObject({ error: nbdError.invalid });
});

test("what would write is refused, and its data passed over; flush and cache do nothing", async () => {
  const { socketPath } = await serving();
  using client = await NbdClient.open(socketPath);
  const { write, trim, writeZeroes, flush, cache, read } = command;
  client.send(Buffer.concat([requestOf(write, 1, 0, 100_000, commandFlag.fua), Buffer.alloc(100_000, 0x25)]));
  expect(await client.reply()).toMatchObject({ cookie: 1, error: nbdError.perm });
  for (const [type, error] of [
    [trim, nbdError.perm],
    [writeZeroes, nbdError.perm],
    [flush, nbdError.none],
    [cache, nbdError.none],
    [99, nbdError.invalid],
  ] as const) {
    client.request(type, 2, 0, type === flush ? 0 : 4_096, type === flush ? commandFlag.fua : 0);
    expect(await client.reply()).toMatchObject({ cookie: 2, error });
  }
  client.request(read, 3, 0, 10, commandFlag.fua);
  expect((await client.reply(10)).data.equals(bytes.subarray(0, 10))).toBe(true);
});

test("what cannot be read is refused: beyond the end, nothing, too much, with flags of other commands", async () => {
  const { socketPath } = await serving();
  for (const structured of [true, false]) {
    using client = await NbdClient.open(socketPath, "", structured);
    for (const [offset, length, flags] of [
      [sizeBytes - 1, 2, 0],
      [Number.MAX_SAFE_INTEGER, 1, 0],
      [0, 0, 0],
      [0, 0xffff_ffff, 0],
      [0, 512, commandFlag.reqOne],
      [0, 512, 0x8000],
    ] as const) {
      client.request(command.read, 1, offset, length, flags);
      expect(await client.reply()).toMatchObject({ cookie: 1, error: nbdError.invalid });
    }
    expect((await client.readMany([{ offset: sizeBytes - 1, length: 1 }]))[0]?.error).toBe(nbdError.none);
  }
});

test("a disk's error is EIO for the read that met it, and told of", async () => {
  const { socketPath, failures, served } = await serving();
  for (const structured of [true, false]) {
    using client = await NbdClient.open(socketPath, "", structured);
    const [bad, good] = await client.readMany([
      { offset: badStart, length: 4_096 },
      { offset: 0, length: 4_096 },
    ]);
    expect([bad?.error, good?.error]).toEqual([nbdError.io, nbdError.none]);
  }
  expect(failures).toEqual([`${badStart}+4096: bad sector`, `${badStart}+4096: bad sector`]);
  expect(served.counters.errors).toBe(2);
});

test("reads of what is here go past reads that wait, and those are given up when their client leaves", async () => {
  const { socketPath, disk, served } = await serving();
  disk.release = new Promise(() => {});
  disk.quick = false;
  disk.here = false;
  const client = await NbdClient.open(socketPath);
  for (let cookie = 0; cookie < 20; cookie += 1) client.request(command.read, cookie, cookie * 100_000, 65_536);
  await eventually(() => (disk.reading === 20 ? true : undefined), "reads that wait");
  disk.quick = true;
  disk.here = true;
  client.request(command.read, 99, 0, 512);
  expect(await client.reply(512)).toMatchObject({ cookie: 99, error: nbdError.none });
  client.socket.destroy();
  await eventually(() => (disk.aborted === 20 && served.counters.connections === 0 ? true : undefined), "their end");
});

test("a client that takes its leave has its replies first", async () => {
  const { socketPath, disk } = await serving();
  disk.quick = false;
  let release = () => {};
  disk.release = new Promise((resolve) => {
    release = resolve;
  });
  using client = await NbdClient.open(socketPath);
  const reads = [1, 2].map((cookie) => requestOf(command.read, cookie, cookie, 1_000));
  // What comes after it is not looked at.
  client.send(Buffer.concat([...reads, requestOf(command.disconnect, 3, 0, 0), Buffer.alloc(1_000)]));
  await eventually(() => (disk.reading === 2 ? true : undefined), "reads");
  release();
  expect([(await client.reply(1_000)).cookie, (await client.reply(1_000)).cookie].sort()).toEqual([1, 2]);
  await client.closed;
});

test("a client that takes no replies is served no further than the bound", async () => {
  const { socketPath, served } = await serving();
  const client = await NbdClient.open(socketPath);
  client.socket.removeAllListeners("data").pause();
  const reads = Buffer.concat(Array.from({ length: 2_000 }, (_, cookie) => requestOf(command.read, cookie, 0, 65_536)));
  client.send(reads);
  await eventually(() => (served.counters.readBytes >= unsentBytesMax / 2 ? true : undefined), "replies");
  using other = await NbdClient.open(socketPath);
  for (let count = 0; count < 100; count += 1) await other.read(0, 65_536);
  // Beside the bound there is what the kernel has taken for the client.
  const taken = served.counters.readBytes - 100 * 65_536;
  expect(taken).toBeLessThan(4 * unsentBytesMax);
  client.socket.resume();
  await eventually(() => (served.counters.reads === 2_100 ? true : undefined), "the rest");
  client.socket.destroy();
});

test.each(["pieces", "a disk"])("reads of a byte that wait for %s are bounded as those of a page are", async (what) => {
  const { socketPath, disk } = await serving();
  const waits = what === "pieces";
  disk.quick = false;
  disk.here = !waits;
  disk.release = new Promise(() => {});
  using client = await NbdClient.open(socketPath);
  const most = (waits ? waitingBytesMax : unsentBytesMax) / 4_096;
  client.send(Buffer.concat(Array.from({ length: 5_000 }, (_, at) => requestOf(command.read, at, at, 1))));
  await eventually(() => (disk.reading >= most / 2 ? true : undefined), "reads");
  // Whatever of them is here is begun before others are answered.
  using other = await NbdClient.open(socketPath);
  other.request(command.flush, 1, 0, 0);
  await other.reply();
  expect(disk.reading).toBeLessThanOrEqual(most);
});

test("answers that nobody takes are bounded by what they cost, however short", async () => {
  const held: (() => void)[] = [];
  const replies = new Replies({
    outlet: { write: (_, sent) => held.push(sent), gather: () => {}, pause: () => {}, resume: () => {}, end: () => {} },
    buffers: new ReplyBuffers(),
    structured: false,
    onSent: () => {},
  });
  while (replies.hasRoom(0)) replies.sendOwn(Buffer.alloc(16));
  expect(held.length).toBeLessThan(2_000);
  for (const sent of held) sent();
  expect(replies.isEmpty).toBe(true);
});

test("a client that is too slow with its handshake is cut off", async () => {
  const timers: { delayMs: number; run: () => void }[] = [];
  const clock: Clock = {
    now: () => 0,
    after: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
  };
  const { socketPath, breaches } = await serving(clock);
  using slow = await NbdClient.connect(socketPath);
  slow.sendFlags();
  using done = await NbdClient.open(socketPath);
  // The other's handshake is over.
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([handshakeTimeoutMs]);
  timers[0]?.run();
  await slow.closed;
  expect(breaches).toEqual([`no handshake within ${handshakeTimeoutMs} ms`]);
  expect((await done.read(0, 512)).error).toBe(nbdError.none);
});

test("connections beyond the bound are closed, which is told, and those before it served", async () => {
  const { socketPath, served, breaches } = await serving();
  const clients = await Promise.all(Array.from({ length: connectionsMax }, () => NbdClient.open(socketPath)));
  await expect(NbdClient.open(socketPath)).rejects.toThrow();
  expect(served.counters.connections).toBe(connectionsMax);
  expect(breaches).toEqual([`${connectionsMax} clients are connected already`]);
  expect((await clients[0]!.read(0, 512)).error).toBe(nbdError.none);
  for (const client of clients) client.socket.destroy();
});

test("whatever clients send, the server goes on and holds nothing of theirs", async () => {
  const { socketPath, served } = await serving();
  using honest = await NbdClient.open(socketPath);
  const words = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((random) => Buffer.from(random)),
    fc.tuple(fc.nat(12), fc.uint8Array({ maxLength: 60 })).map(([code, data]) => optionBytes(code, data)),
    fc.constant(optionBytes(option.go, infoData("vda"))),
    fc.constant(optionBytes(option.structuredReply)),
    fc
      .tuple(fc.nat(9), fc.nat(sizeBytes + 10), fc.nat(70_000), fc.nat(31))
      .map(([type, offset, length, flags]) => requestOf(type, 1, offset, length, flags)),
  );
  const streams = fc.array(words, { minLength: 1, maxLength: 12 });
  const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(streams, mutations, async (stream, changes) => {
      const sent = Buffer.concat([Buffer.from([0, 0, 0, 3]), ...stream]);
      for (const [at, value] of changes) sent[at % sent.length] = value;
      using client = await NbdClient.connect(socketPath);
      client.socket.end(sent);
      client.socket.resume();
      await client.closed;
      const { data } = await honest.read(1_000, requestBytes);
      expect(data.equals(bytes.subarray(1_000, 1_000 + requestBytes))).toBe(true);
    }),
    { numRuns: 300 },
  );
  await eventually(() => (served.counters.connections === 1 ? true : undefined), "their end");
});

test("a socket that nobody listens on is taken over; one that answers, and another kind of file, is not", async () => {
  const folder = await temporaryDirectory();
  const memory = { buffers: new ReplyBuffers(), largeReads: new LargeReads() };
  const open = (socketPath: string) =>
    NbdServer.open({ listen: { socketPath }, memory, clock: systemClock, onBreach: () => {} });
  const taken = join(folder, "taken");
  const other = createServer().listen(taken);
  onTestFinished(() => void other.close());
  await expect(open(taken)).rejects.toThrow(/another process serves/);
  await writeFile(join(folder, "file"), "");
  await expect(open(join(folder, "file"))).rejects.toThrow(/is no socket/);
  await expect(open(join(folder, "none/sock"))).rejects.toThrow(/cannot serve NBD/);
});
