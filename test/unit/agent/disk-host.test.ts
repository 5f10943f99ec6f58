/** Disks as the main thread has them: a real worker, real sockets and files. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, rmdirSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { type DiskEvents, DiskHost, startDiskWorker } from "../../../agent/disk/disk-host.ts";
import type { DemandedRange, ExportSpec } from "../../../agent/disk/messages.ts";
import { command, nbdError } from "../../../agent/disk/nbd/protocol.ts";
import { createLog } from "../../../daemon/log.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import { NbdClient } from "../../fixtures/nbd-client.ts";
import { eventually } from "../../fixtures/processes.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const digest = "d".repeat(64);
const pieceLengthBytes = 16_384;

/** A host with one image of eight pieces, of which none is here unless it is complete. */
async function hosted(complete: boolean, readTimeoutMs = 30_000, beforeWorker = () => {}) {
  const folder = await temporaryDirectory();
  const bytes = randomBytes(8 * pieceLengthBytes);
  const dataPath = join(folder, "data");
  await writeFile(dataPath, bytes);
  const demands: DemandedRange[][] = [];
  const failures: string[] = [];
  const served: number[] = [];
  const events: DiskEvents = {
    demand: (_, ranges) => demands.push(ranges),
    served: (_, waitedMs) => served.push(...waitedMs),
    readFailed: ({ error }) => failures.push(error),
    lost: () => {},
    bootImageBad: () => {},
    stats: () => {},
  };
  const workers: Worker[] = [];
  const socketPath = join(folder, "nbd.sock");
  const startWorker = () => {
    beforeWorker();
    const worker = startDiskWorker();
    workers.push(worker);
    return worker;
  };
  const log = createLog({ level: "silent", name: "test" });
  const host = new DiskHost({ log, clock: systemClock, events, startWorker });
  onTestFinished(() => host.close());
  const have = new Uint8Array(new SharedArrayBuffer(1));
  const zero = new Uint8Array(new SharedArrayBuffer(1));
  const pieces = { pieceLengthBytes, have: have.buffer, zero: zero.buffer };
  const image = { digest, dataPath, sizeBytes: bytes.length, complete, pieces };
  host.addImage(image);
  const spec: ExportSpec = {
    id: "disk-1",
    name: "debian",
    digest,
    listen: { socketPath },
    readTimeoutMs,
  };
  return { host, image, bytes, have, zero, demands, failures, served, spec, socketPath, workers };
}

test("an export is opened with its URI, read, and closed", async () => {
  const { host, bytes, spec, socketPath } = await hosted(true);
  expect(await host.openExport(spec)).toMatchObject({ uri: `nbd+unix:///debian?socket=${socketPath}` });
  using client = await NbdClient.open(socketPath, "debian");
  expect(client.sizeBytes).toBe(bytes.length);
  const { data } = await client.read(5_000, 100_000);
  expect(data.equals(bytes.subarray(5_000, 105_000))).toBe(true);
  await host.closeExport(spec.id);
  await client.closed;
  const [error] = await once(connect(socketPath), "error");
  expect(error).toMatchObject({ code: "ENOENT" });
});

test("a read of what is missing is asked for, waits, and is served when its piece arrives", async () => {
  const { host, bytes, have, demands, served, spec, socketPath } = await hosted(false);
  await host.openExport(spec);
  using client = await NbdClient.open(socketPath);
  client.request(command.read, 7, pieceLengthBytes + 100, 200);
  const ranges = await eventually(() => demands.at(-1), "a demand");
  expect(ranges).toEqual([{ offset: pieceLengthBytes + 100, length: 200, ahead: false }]);
  Atomics.or(have, 0, 0x40);
  host.arrived(digest);
  const reply = await client.reply(200);
  expect(reply).toMatchObject({ cookie: 7, error: nbdError.none });
  expect(reply.data.equals(bytes.subarray(pieceLengthBytes + 100, pieceLengthBytes + 300))).toBe(true);
  await eventually(() => (demands.at(-1)?.length === 0 ? true : undefined), "the end of the demand");
  expect(served).toHaveLength(1);
});

test("a read of what does not arrive in time fails with EIO, and says why", async () => {
  const { host, demands, failures, spec, socketPath } = await hosted(false, 50);
  await host.openExport(spec);
  using client = await NbdClient.open(socketPath);
  expect(await client.read(0, 4_096)).toMatchObject({ error: nbdError.io });
  expect(failures).toEqual(["bytes 0 to 4095 have not arrived within 50 ms"]);
  await eventually(() => (demands.at(-1)?.length === 0 ? true : undefined), "the end of the demand");
});

test("a client that leaves while it waits leaves no demand behind", async () => {
  const { host, demands, spec, socketPath } = await hosted(false);
  await host.openExport(spec);
  const client = await NbdClient.open(socketPath);
  client.request(command.read, 1, 0, 4_096);
  await eventually(() => (demands.at(-1)?.length === 1 ? true : undefined), "a demand");
  client.socket.destroy();
  await eventually(() => (demands.at(-1)?.length === 0 ? true : undefined), "the end of the demand");
});

test("pieces of zeros are read without being here, an image that becomes complete is read whole", async () => {
  const { host, image, bytes, zero, spec, socketPath } = await hosted(false);
  Atomics.or(zero, 0, 0x80);
  await host.openExport(spec);
  using client = await NbdClient.open(socketPath);
  expect((await client.read(0, pieceLengthBytes)).data.equals(Buffer.alloc(pieceLengthBytes))).toBe(true);
  client.request(command.read, 2, pieceLengthBytes, 7 * pieceLengthBytes);
  host.addImage({ ...image, complete: true });
  const { data } = await client.reply(7 * pieceLengthBytes);
  expect(data.equals(bytes.subarray(pieceLengthBytes))).toBe(true);
});

test("an export that cannot be served says why", async () => {
  const { host, spec } = await hosted(true);
  await expect(host.openExport({ ...spec, digest: "e".repeat(64) })).rejects.toThrow(/does not know image/);
  const long = { socketPath: `/tmp/${"x".repeat(120)}` };
  await expect(host.openExport({ ...spec, listen: long })).rejects.toThrow(/too long for a Unix socket/);
  await host.openExport(spec);
  await expect(host.openExport(spec)).rejects.toThrow(/served already/);
  await expect(host.openExport({ ...spec, id: "disk-2" })).rejects.toThrow(/another disk is served as "debian"/);
});

test("a worker that dies is followed by one that serves the same exports on the same sockets", async () => {
  const { host, bytes, have, demands, spec, socketPath, workers } = await hosted(false);
  await host.openExport(spec);
  Atomics.or(have, 0, 0x80);
  const first = await NbdClient.open(socketPath);
  first.request(command.read, 1, 4 * pieceLengthBytes, 512);
  await eventually(() => (demands.at(-1)?.length === 1 ? true : undefined), "a demand");
  await workers[0]?.terminate();
  await first.closed;
  // What its reads waited for is waited for no more.
  expect(demands.at(-1)).toEqual([]);
  using second = await eventually(() => NbdClient.open(socketPath).catch(() => undefined), "the export again");
  expect((await second.read(0, 5_000)).data.equals(bytes.subarray(0, 5_000))).toBe(true);
  expect(workers).toHaveLength(2);
  await host.closeExport(spec.id);
  await second.closed;
});

test("a disk that the next worker cannot serve at once is served as soon as it can", async () => {
  let inTheWay = () => {};
  const { host, bytes, spec, socketPath, workers } = await hosted(true, undefined, () => inTheWay());
  await host.openExport(spec);
  await rm(socketPath);
  inTheWay = () => mkdirSync(socketPath);
  await workers[0]?.terminate();
  await eventually(() => (workers.length === 2 ? true : undefined), "the next worker");
  // Behind the disk that cannot be served, and answered after it.
  await expect(host.openExport({ ...spec, id: "disk-2", digest: "e".repeat(64) })).rejects.toThrow(/does not know/);
  rmdirSync(socketPath);
  using client = await eventually(() => NbdClient.open(socketPath).catch(() => undefined), "the disk again");
  expect((await client.read(0, 5_000)).data.equals(bytes.subarray(0, 5_000))).toBe(true);
});
