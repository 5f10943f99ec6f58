/** Attached disks of an agent in this process: real sockets, a real worker, a seeder that sends when it is told to. */
import { randomBytes } from "node:crypto";
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { DiskState } from "../../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import { ImageFormat } from "../../../proto/gen/bootswarm/image/v1/image_pb.js";
import { NbdClient } from "../../fixtures/nbd-client.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { TroubledDisk } from "../../fixtures/troubled-disk.ts";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, type RunningAgent, startAgent } from "./running-agent.ts";
import { type DataRequest, sendRange, startScriptedSeeder } from "./scripted-seeder.ts";

const MiB = 1024 * 1024;
const raw = { format: ImageFormat.RAW };

/** An agent, and an image that is here, or one whose bytes come when `send` is called. */
async function agentWithImage(settings: Record<string, unknown> = {}, isHere = true, disk?: TroubledDisk) {
  const bytes = randomBytes(1_000_000);
  const requests: DataRequest[] = [];
  const wait = { serve: (request: DataRequest) => void requests.push(request) };
  const seeder = await startScriptedSeeder([{ name: "debian", bytes, said: raw, ...(!isHere && wait) }]);
  const agent = await startAgent(seeder.url, settings, undefined, disk);
  if (isHere) await fetchToEnd(agent, "debian");
  const send = async () => {
    await expect.poll(() => requests.length).toBeGreaterThan(0);
    for (const request of requests.splice(0)) sendRange(request, bytes);
  };
  return { agent, service: agent.service, bytes, send };
}

async function problemOf(work: Promise<unknown>): Promise<{ code: Code; text: string }> {
  const fault = await work.then(
    () => new Error("nothing failed"),
    (error: unknown) => error,
  );
  const { code, rawMessage } = ConnectError.from(fault);
  return { code, text: rawMessage };
}

async function disksOf({ service }: RunningAgent) {
  return (await service.listDisks({})).disks;
}

/** Reads some of a disk by NBD. */
async function readFrom(socketPath: string, offset: number, length: number): Promise<Buffer> {
  using client = await NbdClient.open(socketPath);
  return (await client.read(offset, length)).data;
}

test("a disk is attached before a byte of its image is here, and what is read of it waits for the bytes", async () => {
  const { service, bytes, send } = await agentWithImage({}, false);
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1", overlayPath: "/vms/vm1.qcow2" });
  const { socketPath = "" } = disk ?? {};
  expect(disk).toMatchObject({
    name: "vm1",
    imageNames: ["debian"],
    state: DiskState.SERVING,
    uri: `nbd+unix:///vm1?socket=${socketPath}`,
    imageComplete: false,
    overlayPath: "/vms/vm1.qcow2",
    virtualSizeBytes: 1_000_000n,
  });
  const reading = readFrom(socketPath, 5_000, 100_000);
  await send();
  expect((await reading).equals(bytes.subarray(5_000, 105_000))).toBe(true);
});

test("a disk outlasts restarts of the agent: address, export, id and image", async () => {
  const { agent, service, bytes } = await agentWithImage();
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1", qmpPath: "/run/vm1.qmp" });
  const again = await agent.restart({ "disk.socketDirectory": join(agent.stateDirectory, "other") });
  const [found] = await disksOf(again);
  // Wherever new ones are served.
  expect(found).toEqual(disk);
  expect((await readFrom(disk?.socketPath ?? "", 0, 4_096)).equals(bytes.subarray(0, 4_096))).toBe(true);
  expect((await again.service.getImage({ image: "debian" })).image?.holders).toEqual(["disk vm1"]);
});

test("where the holes of an image are is told once it is complete, and after a restart", async () => {
  const bytes = Buffer.concat([randomBytes(MiB), Buffer.alloc(2 * MiB), randomBytes(MiB)]);
  const seeder = await startSeeder();
  await fetch(`${seeder.url}/images/sparse`, { method: "PUT", body: bytes });
  const agent = await startAgent(seeder.url);
  const { disk } = await agent.service.attachDisk({ image: "sparse", name: "vm1" });
  await fetchToEnd(agent, "sparse");
  const socketPath = disk?.socketPath ?? "";
  const holes = async () => {
    using client = await NbdClient.open(socketPath, "", true);
    return await client.blockStatus(0, bytes.length);
  };
  const asMade = [
    [MiB, 0],
    [2 * MiB, 3],
    [MiB, 0],
  ];
  // The disk worker is told in a moment.
  await expect.poll(holes).toEqual(asMade);
  await agent.restart();
  await expect.poll(holes).toEqual(asMade);
});

test("an attached image is not removed, not even by force, until it is detached", async () => {
  const { service } = await agentWithImage();
  const { disk } = await service.attachDisk({ image: "debian" });
  const name = disk?.name ?? "";
  expect(name).toMatch(/^debian-[0-9a-f]{8}$/);
  const refused = await problemOf(service.removeImage({ image: "debian", force: true }));
  expect(refused.text).toBe(`"debian" is attached as disk ${name}; detach that before the image is removed`);
  await service.detachDisk({ name });
  await service.removeImage({ image: "debian" });
  expect(await problemOf(service.detachDisk({ name }))).toMatchObject({ code: Code.NotFound });
});

test("a disk with clients is detached by force only", async () => {
  const { agent, service } = await agentWithImage();
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1" });
  using client = await NbdClient.open(disk?.socketPath ?? "");
  await expect.poll(async () => (await disksOf(agent))[0]?.connections).toBe(1);
  const refused = await problemOf(service.detachDisk({ name: "vm1" }));
  expect(refused).toMatchObject({ code: Code.FailedPrecondition });
  expect(refused.text).toMatch(/1 NBD client is connected; shut the VM down or hand it over first, or force it/);
  await service.detachDisk({ name: "vm1", force: true });
  await client.closed;
  expect(await disksOf(agent)).toEqual([]);
});

test("only the agent's user, and the group that is named, may open a disk's socket", async () => {
  const group = process.getgid?.() ?? 0;
  const { agent, service } = await agentWithImage();
  const modes = async (path: string) => (await stat(path)).mode & 0o777;
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1" });
  const { socketPath = "" } = disk ?? {};
  expect([await modes(socketPath), await modes(join(socketPath, ".."))]).toEqual([0o600, 0o700]);
  await agent.restart({ "disk.socketGroup": String(group) });
  expect([await modes(socketPath), await modes(join(socketPath, ".."))]).toEqual([0o660, 0o750]);
  expect((await stat(socketPath)).gid).toBe(group);
});

test("an image that is attached is fetched again after its fetch was cancelled", async () => {
  const { service, bytes, send } = await agentWithImage({}, false);
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1" });
  await service.cancelFetch({ image: "debian" });
  const reading = readFrom(disk?.socketPath ?? "", 0, 512);
  const sending = setInterval(() => void send().catch(() => {}), 50);
  try {
    expect((await reading).equals(bytes.subarray(0, 512))).toBe(true);
  } finally {
    clearInterval(sending);
  }
});

test("a damaged record costs its own disk, and is said to", async () => {
  const { agent, service } = await agentWithImage();
  await service.attachDisk({ image: "debian", name: "vm1" });
  await service.attachDisk({ image: "debian", name: "vm2" });
  await agent.close();
  const directory = join(agent.stateDirectory, "disks");
  const [first = ""] = await readdir(directory);
  await writeFile(join(directory, first), "{");
  const again = await agent.restart();
  expect(await disksOf(again)).toHaveLength(1);
});

test("a disk that cannot be served says why, and is kept", async () => {
  const { agent, service } = await agentWithImage();
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1" });
  await agent.close();
  const { socketPath = "" } = disk ?? {};
  await rm(socketPath, { force: true });
  await writeFile(socketPath, "in the way");
  const again = await agent.restart();
  expect(await disksOf(again)).toMatchObject(
    [{ name: "vm1", state: DiskState.FAILED, error: /socket/ }].map((one) => ({
      ...one,
      error: expect.stringMatching(one.error),
    })),
  );
});

test("what cannot be attached is refused, and nothing is left of it", async () => {
  // As long as a socket's path allows for no long name.
  const socketDirectory = join(await temporaryDirectory(), "s".repeat(30));
  const { agent, service } = await agentWithImage({ "disk.socketDirectory": socketDirectory });
  await service.attachDisk({ image: "debian", name: "taken" });
  const refused = [
    [{ image: "none" }, Code.NotFound, /no image "none"/],
    [{ image: "debian", name: "taken" }, Code.AlreadyExists, /"taken" is attached already: debian; choose another/],
    [{ image: "debian", name: "../x" }, Code.InvalidArgument, /is no name for a disk/],
    [{ image: "debian", name: "a".repeat(64) }, Code.InvalidArgument, /bytes longer than the 107 .* choose a shorter/],
    [{ image: "debian", qmpPath: "vm1.qmp" }, Code.InvalidArgument, /"vm1.qmp" is no path; give an absolute one/],
  ] as const;
  for (const [request, code, text] of refused) {
    expect(await problemOf(service.attachDisk(request))).toEqual({ code, text: expect.stringMatching(text) });
  }
  expect((await disksOf(agent)).map(({ name }) => name)).toEqual(["taken"]);
  expect((await service.getImage({ image: "debian" })).image?.holders).toEqual(["disk taken"]);
});

test("a disk that cannot be written down is not promised", async () => {
  const seeder = await startScriptedSeeder([{ name: "debian", bytes: randomBytes(10_000), said: raw }]);
  const disk = new TroubledDisk();
  const agent = await startAgent(seeder.url, {}, undefined, disk);
  await fetchToEnd(agent, "debian");
  disk.writeFault = "ENOSPC";
  const { text } = await problemOf(agent.service.attachDisk({ image: "debian", name: "vm1" }));
  expect(text).toMatch(/is full, so disk vm1 cannot be written; remove images or free space/);
  expect(await disksOf(agent)).toEqual([]);
  expect((await agent.service.getImage({ image: "debian" })).image?.holders).toEqual([]);
  disk.writeFault = undefined;
  await agent.service.attachDisk({ image: "debian", name: "vm1" });
});

test("a disk whose image cannot arrive says why", async () => {
  const troubled = new TroubledDisk();
  const { agent, service, send } = await agentWithImage({}, false, troubled);
  await service.attachDisk({ image: "debian", name: "vm1" });
  troubled.writeFault = "ENOSPC";
  await send();
  const error = async () => (await disksOf(agent))[0]?.error;
  await expect.poll(error, { timeout: 20_000 }).toMatch(/is full.*remove images or free space/);
});

test("an image of a format that no VM could be told of is refused before it is fetched", async () => {
  const seeder = await startScriptedSeeder([{ name: "odd", bytes: randomBytes(1_000) }]);
  const agent = await startAgent(seeder.url);
  const refused = await problemOf(agent.service.attachDisk({ image: "odd" }));
  expect(refused.text).toMatch(/the format of "odd" is not known here, and a disk needs raw or qcow2; convert it/);
  expect((await agent.service.listFetches({})).fetches).toEqual([]);
});

test("a handover that cannot be says why, and the disk is served on", async () => {
  const { agent, service, send, bytes } = await agentWithImage({}, false);
  const { disk } = await service.attachDisk({ image: "debian", name: "vm1" });
  const handOver = async (qmpPath: string) => (await problemOf(service.handOverDisk({ name: "vm1", qmpPath }))).text;
  expect(await handOver("/run/none")).toMatch(/the image of "vm1" is not complete yet/);
  await send();
  await expect.poll(async () => (await disksOf(agent))[0]?.imageComplete).toBe(true);
  expect(await handOver("")).toMatch(/no QMP socket is known for "vm1"; give it with --qmp/);
  expect(await handOver("/run/none")).toMatch(/there is no QMP socket \/run\/none; start QEMU with -qmp/);
  expect(await handOver(import.meta.filename)).toMatch(/it is no QMP socket/);
  expect((await readFrom(disk?.socketPath ?? "", 0, 512)).equals(bytes.subarray(0, 512))).toBe(true);
  expect(await disksOf(agent)).toMatchObject([{ state: DiskState.SERVING }]);
});
