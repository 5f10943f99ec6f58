/** Debian's Nova chooses hosts by its own weight handler and its own weighers, and ours, which asks a real seeder. */
import { randomBytes, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { publish, startSeeder, type TestSeeder } from "../fixtures/daemons.ts";
import {
  type NovaAnswer,
  type NovaRequest,
  type NovaScheduler,
  startNovaScheduler,
} from "../fixtures/nova-scheduler.ts";
import { makeTemporaryDirectory, temporaryDirectory } from "../fixtures/temporary-directory.ts";

/** Long enough for a busy machine where a seeder is to answer; where none does, the test waits for this. */
const patient = { timeout: 30, retry_interval: 600 };
const hasty = { timeout: 0.5, retry_interval: 600 };
const glanceId = "70a599e0-31e7-49b7-b260-868f441e862b";

let directory: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let nova: NovaScheduler;

beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  nova = await startNovaScheduler(directory.path, [
    "nova.scheduler.weights.ram.RAMWeigher",
    "nova.scheduler.weights.cpu.CPUWeigher",
    "nova.scheduler.weights.io_ops.IoOpsWeigher",
    "bootswarm_nova.weigher.BootswarmWeigher",
  ]);
});

afterAll(async () => {
  await nova?.close();
  await directory?.remove();
});

/** A seeder with an image, and nodes that have it (compute-1), fetch it (2, 3) and do not (4). */
async function startScene(name = glanceId): Promise<{ seeder: TestSeeder; digest: string }> {
  const path = await temporaryDirectory();
  const seeder = await startSeeder(join(path, "data"));
  await writeFile(join(path, "image"), randomBytes(10_000));
  const { digest } = await publish(seeder, join(path, "image"), name);
  const tell = (id: string, what: object) =>
    seeder.inventory.report({
      node: { id, name: `${id}.example.org`, version: "0.1.0", reportIntervalMs: 3_600_000 },
      epoch: 1n,
      sequence: 1n,
      full: true,
      ...what,
    });
  const fetch = { digest, state: FetchState.ACTIVE, sizeBytes: 100n };
  await tell("compute-1", { holdings: [{ digest, allocatedBytes: 10_000n }] });
  await tell("compute-2", { fetches: [{ ...fetch, doneBytes: 90n, etaSeconds: 5 }] });
  await tell("compute-3", { fetches: [{ ...fetch, doneBytes: 10n, etaSeconds: 300 }] });
  await tell("compute-4", {});
  return { seeder, digest };
}

const computes = [4, 3, 2, 1].map((index) => ({ host: `compute-${index}` }));
const namesOf = ({ hosts }: NovaAnswer) => hosts.map(([host]) => host);
const weightsOf = ({ hosts }: NovaAnswer) => Object.fromEntries(hosts);

async function weigh(
  seeders: (TestSeeder | { url: string })[],
  request: Partial<NovaRequest> = {},
): Promise<NovaAnswer> {
  const options = { seeder_urls: seeders.map(({ url }) => url), ...patient, ...request.options };
  const answer = await nova.weigh({ hosts: computes, image: glanceId, ...request, options });
  expect(answer.raised).toBe("");
  return answer;
}

test("Nova chooses the host that has the image, then those to which it is on its way, the sooner first", async () => {
  const { seeder } = await startScene();
  const answer = await weigh([seeder]);
  expect(namesOf(answer)).toEqual(["compute-1", "compute-2", "compute-3", "compute-4"]);
  expect([answer.hosts[0]?.[1], answer.hosts[3]?.[1]]).toEqual([1, 0]);

  const roomier = [{ host: "compute-1" }, { host: "compute-4", free_ram_mb: 8_192 }, { host: "no-agent" }];
  const preferringRam = await weigh([seeder], { hosts: roomier, options: { weight_multiplier: 0.5 } });
  expect(namesOf(preferringRam)[0]).toBe("compute-4");
  expect(weightsOf(preferringRam)).toEqual({ "compute-4": 1, "compute-1": 0.5, "no-agent": 0 });
  const preferringImage = await weigh([seeder], { hosts: roomier, options: { weight_multiplier: 2 } });
  expect(namesOf(preferringImage)[0]).toBe("compute-1");
  const aggregates = { bootswarm_weight_multiplier: "3" };
  const byAggregate = await weigh([seeder], { hosts: [{ host: "compute-1", aggregates }, ...computes.slice(0, 3)] });
  expect(weightsOf(byAggregate)["compute-1"]).toBe(3);
  const strangers = Array.from({ length: 3_000 }, (_, index) => ({ host: `stranger-${index}` }));
  expect(namesOf(await weigh([seeder], { hosts: [...strangers, ...computes] })).slice(0, 2)).toEqual([
    "compute-1",
    "compute-2",
  ]);
  const inFlightApart = await weigh([seeder], { options: { count_in_flight: false } });
  expect(weightsOf(inFlightApart)).toEqual({ "compute-1": 1, "compute-2": 0, "compute-3": 0, "compute-4": 0 });
});

test("the image is known by its Glance id, its name, a hint or the flavor; a volume and a stranger have no weight", async () => {
  const { seeder, digest } = await startScene("debian-12");
  const best = async (request: Partial<NovaRequest>) => (await weigh([seeder], request)).hosts[0];
  expect(await best({ image_name: "debian-12" })).toEqual(["compute-1", 1]);
  expect(await best({ image_name: "Debian 12 (bookworm)", hint: { bootswarm_image: digest } })).toEqual([
    "compute-1",
    1,
  ]);
  expect(await best({ flavor: { "bootswarm:image": "debian-12" } })).toEqual(["compute-1", 1]);
  for (const request of [{}, { image_name: "debian-12", bfv: true }, { image_name: "no such image" }]) {
    const { hosts } = await weigh([seeder], request);
    expect(hosts.map(([, weight]) => weight)).toEqual([0, 0, 0, 0]);
  }
});

test("launches are told where that is wanted, each once, and heat their host", async () => {
  const { seeder } = await startScene();
  const launchesOn = async (host: string) => {
    const { hosts } = await seeder.placement.weighHosts({ image: glanceId, hosts: [host] });
    return hosts[0]?.details?.recentLaunches ?? Number.NaN;
  };
  const instance = randomUUID();
  await weigh([seeder], { instance });
  expect(await launchesOn("compute-1")).toBe(0);
  const options = { record_launches: "best" };
  await weigh([seeder], { instance, options });
  await weigh([seeder], { instance, options });
  const once = await launchesOn("compute-1");
  expect(once).toBeGreaterThan(0);
  expect(once).toBeLessThanOrEqual(1);
  for (let index = 0; index < 20; index++) await weigh([seeder], { instance: randomUUID(), options });
  expect(await launchesOn("compute-2")).toBeGreaterThan(1);
});

/** What a seeder may be in place of one that answers: every connection, counted, gets this. */
async function impostor(serve: (socket: Socket) => void): Promise<{ url: string; connections: () => number }> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections };
}

/** Sends a text one byte at a time, for ever if it has no end. */
function trickle(socket: Socket, byteAt: (index: number) => string): void {
  let index = 0;
  const timer = setInterval(() => socket.write(byteAt(index++)), 20);
  socket.on("close", () => clearInterval(timer));
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
const answering = (text: string) => (socket: Socket) => {
  socket.once("data", () => socket.end(text));
};
const troubles: Record<string, (socket: Socket) => void> = {
  hangs: () => {},
  "hangs up": (socket) => socket.destroy(),
  "answers its head byte by byte, for ever": (socket) => trickle(socket, (index) => head[index] ?? "x"),
  "answers its body byte by byte, for ever": (socket) => {
    socket.write(head);
    trickle(socket, () => " ");
  },
  "is no HTTP server": answering("220 mail.example.org ESMTP\r\n"),
  "answers what is no JSON": answering(`${head}<html>`),
  "answers JSON that makes no sense": answering(`${head}{"hosts": [{"host": 3}]}`),
  "answers weights that are none": answering(
    `${head}{"hosts": [{"host": "compute-1", "reason": "HOST_REASON_CACHED", "score": "NaN"}]}`,
  ),
  "answers an error of its own": answering("HTTP/1.1 500 Oops\r\n\r\n{}"),
};

for (const [what, serve] of Object.entries(troubles)) {
  test(`Nova goes on without a seeder that ${what}, and asks it no more for a while`, async () => {
    const seeder = await impostor(serve);
    const hosts = [{ host: "compute-1" }, { host: "compute-2", free_ram_mb: 512 }];
    for (const keep of [false, true]) {
      const answer = await weigh([seeder], { hosts, options: hasty, keep });
      expect(answer.hosts).toEqual([
        ["compute-2", 1],
        ["compute-1", 0],
      ]);
    }
    expect(seeder.connections()).toBe(1);
  });
}

test("Nova goes on without a seeder that is away, or whose name nobody knows", async () => {
  for (const url of ["http://127.0.0.1:1", "http://no-such-host.invalid:7400", "ftp://127.0.0.1"]) {
    const { hosts } = await weigh([{ url }], { options: hasty });
    expect(hosts.map(([, weight]) => weight)).toEqual([0, 0, 0, 0]);
  }
});

test("other decisions of the scheduler go on while a seeder hangs", async () => {
  const { turns } = await weigh([await impostor(() => {})], { options: hasty });
  expect(turns).toBeGreaterThan(1);
});

test("a seeder is found by a name that has several addresses", async () => {
  const { seeder } = await startScene();
  const byName = { url: seeder.url.replace("127.0.0.1", "localhost") };
  expect(namesOf(await weigh([byName]))[0]).toBe("compute-1");
});

test("seeders that are left alone take no share of the time that another has", async () => {
  const text = `${head}{"hosts": [{"host": "compute-1", "reason": "HOST_REASON_CACHED", "score": 1}, {"host": "compute-2", "reason": "HOST_REASON_ABSENT"}]}`;
  let answerAfterMs = 0;
  const slow = await impostor((socket) => {
    socket.once("data", () => setTimeout(() => socket.end(text), answerAfterMs));
  });
  const seeders = [{ url: "http://127.0.0.1:1" }, { url: "http://127.0.0.1:2" }, slow];
  const hosts = [{ host: "compute-1" }, { host: "compute-2" }];
  const options = { timeout: 5 };
  expect((await weigh(seeders, { hosts, options })).hosts[0]).toEqual(["compute-1", 1]);
  answerAfterMs = 2_000;
  expect((await weigh(seeders, { hosts, options, keep: true })).hosts[0]).toEqual(["compute-1", 1]);
});

test("another seeder is asked when one hangs, and first from then on; the one that failed is tried again later", async () => {
  const { seeder } = await startScene();
  const hanging = await impostor(() => {});
  const both = [hanging, seeder];
  expect(namesOf(await weigh(both, { options: { timeout: 12 } }))[0]).toBe("compute-1");
  expect(namesOf(await weigh(both, { keep: true }))[0]).toBe("compute-1");
  expect(hanging.connections()).toBe(1);
  const soon = { timeout: 1, retry_interval: 0 };
  await weigh([hanging], { options: soon });
  await weigh([hanging], { options: soon, keep: true });
  expect(hanging.connections()).toBe(3);
});
