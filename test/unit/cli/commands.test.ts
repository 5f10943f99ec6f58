/** The commands as a shell runs them, against a seeder and an agent in this process. */
import { type ExecFileException, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { openAgent } from "../../../agent/agent.ts";
import { agentConfigSchema } from "../../../agent/config.ts";
import { loadConfig } from "../../../daemon/config.ts";
import { createLog } from "../../../daemon/log.ts";
import { seederConfigSchema } from "../../../seeder/config.ts";
import { openSeeder } from "../../../seeder/seeder.ts";
import { makeTemporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** Each command is a process of its own, and starting one takes a second where others want the CPU too. */
vi.setConfig({ testTimeout: 120_000 });

const launcher = join(import.meta.dirname, "../../../bin/bootswarm.js");
const anyPorts = { "swarm.port": 0, "dht.port": 0 };
const log = createLog({ level: "silent", name: "test" });

let directory: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let seeder: Awaited<ReturnType<typeof openSeeder>>;
let agent: Awaited<ReturnType<typeof openAgent>>;
let image: string;
const bytes = randomBytes(2_500_000);
const digest = createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  image = join(directory.path, "image.raw");
  await writeFile(image, bytes);
  const seederSettings = { ...anyPorts, listen: "127.0.0.1:0", dataDirectory: join(directory.path, "data") };
  seeder = await openSeeder(loadConfig(seederConfigSchema, { settings: seederSettings }), log);
  const agentSettings = {
    ...anyPorts,
    listen: `unix:${join(directory.path, "agent.sock")}`,
    stateDirectory: join(directory.path, "state"),
    name: "node-a",
    zone: "rack-7",
    "seeder.url": seeder.url,
    "report.intervalMs": 200,
  };
  agent = await openAgent(loadConfig(agentConfigSchema, { settings: agentSettings }), log);
});

afterAll(async () => {
  await agent?.close();
  await seeder?.close();
  await directory?.remove();
});

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

const daemons = () => ({ ...process.env, BOOTSWARM_SEEDER: seeder.url, BOOTSWARM_AGENT: agent.url });

/** Runs a command until `when` has come about, then interrupts it as Ctrl-C does. */
async function interrupted(args: string[], when: (child: ReturnType<typeof spawn>) => Promise<unknown>) {
  const child = spawn(process.execPath, [launcher, ...args], { env: daemons(), stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await closed;
  });
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => {
    stderr += data;
  });
  await when(child);
  child.kill("SIGINT");
  const [status] = await closed;
  return { status, stderr };
}

function bootswarm(...args: string[]): Promise<Outcome> {
  const env = daemons();
  return new Promise((resolve) => {
    execFile(process.execPath, [launcher, ...args], { env }, (error: ExecFileException | null, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test("publish prints digest and magnet; fetch prints the path of the same bytes", async () => {
  const published = await bootswarm("publish", image, "--name", "debian-12");
  expect(published).toMatchObject({ status: 0, stderr: expect.stringContaining("published in") });
  expect(published.stdout).toMatch(new RegExp(`^sha256 {2}${digest}\nmagnet {2}magnet:\\?xt=urn:btih:[0-9a-f]{40}`));

  const fetched = await bootswarm("fetch", "debian-12");
  expect(fetched).toMatchObject({ status: 0, stderr: expect.stringMatching(/100 %.*(swarm|HTTP) 100 %/) });
  expect(await readFile(fetched.stdout.trim())).toEqual(bytes);
});

test("tables show what is where", async () => {
  expect((await bootswarm("images")).stdout).toMatch(/^NAME .*\ndebian-12 +2\.38 MiB +raw .*swarm/);
  expect((await bootswarm("images", "--local")).stdout).toContain(join(directory.path, "state/images", digest));
  expect((await bootswarm("fetches")).stdout).toMatch(/debian-12 +ready +100 %/);
  expect((await bootswarm("status")).stdout).toMatch(/node +node-a.*seeder answers +yes.*catalog +1 image,/s);
  await expect
    .poll(async () => (await bootswarm("nodes")).stdout, { timeout: 10_000 })
    .toMatch(/node-a +up +1 .* rack-7 /);
  expect((await bootswarm("holdings", "debian-12")).stdout).toMatch(/node-a +up +ready +100 %/);
  expect((await bootswarm("node", "node-a")).stdout).toMatch(/Images\nIMAGE.*\ndebian-12/);
});

test("place says where an image's next machine had best be started, and why", async () => {
  const placed = await bootswarm("place", "debian-12", "--hosts", "nobody,NODE-A");
  expect(placed).toMatchObject({ status: 0, stderr: expect.stringContaining("2 hosts: cached on 1, unknown on 1") });
  expect(placed.stdout).toMatch(/^HOST +WEIGHT +WHY\nNODE-A +100 % +cached\nnobody +0 % +unknown: no agent/);
  const recorded = await bootswarm("place", "debian-12", "--zone", "rack-7", "-q", "--record", "--launch-id", "vm-1");
  expect(recorded).toEqual({ status: 0, stdout: "node-a\n", stderr: "" });
  const again = await bootswarm("place", "debian-12", "--json", "--record", "--launch-id", "vm-1");
  expect(JSON.parse(again.stdout)).toMatchObject({ digest, hosts: [{ host: "node-a" }], launch: { counted: false } });
  const nowhere = await bootswarm("place", "debian-12", "-q", "--hosts", "nobody");
  expect(nowhere).toMatchObject({
    status: 1,
    stdout: "",
    stderr: expect.stringContaining("no agent reports from any"),
  });
});

test("prefetch brings images ahead of need, and says how far that is", async () => {
  const nowhere = await bootswarm("prefetch", "debian-12");
  expect(nowhere).toMatchObject({ status: 2, stderr: expect.stringContaining("--nodes A,B, --zone ZONE, --count") });
  const brought = await bootswarm("prefetch", "debian-12", "--zone", "rack-7", "--wait");
  expect(brought).toMatchObject({ status: 0, stderr: expect.stringContaining("debian-12: 1 of 1 nodes have it") });
  const id = brought.stdout.trim();
  expect((await bootswarm("prefetches")).stdout).toMatch(
    new RegExp(`^ID .*\\n${id} +debian-12 +done +1/1 +0 +all of rack-7`),
  );
  expect((await bootswarm("prefetches", id)).stdout).toMatch(/Nodes\nNODE.*\nnode-a +rack-7 +ready +100 %/);
  const over = await bootswarm("prefetches", id, "--cancel");
  expect(over).toMatchObject({ status: 1, stderr: expect.stringContaining("has ended: done") });
});

test("popularity and plan say what is launched, and what would be brought where", async () => {
  expect((await bootswarm("popularity")).stdout).toMatch(/^IMAGE +LAUNCHES +A DAY.*\ndebian-12 +\d/);
  const { mode, halfLifeMs } = JSON.parse((await bootswarm("plan", "--json")).stdout);
  expect([mode, halfLifeMs]).toEqual(["PLAN_MODE_ADVISE", "259200000"]);
  expect((await bootswarm("plan")).stderr).toContain("prefetch.mode: advise");
});

test("--json prints the API's own JSON", async () => {
  const { images } = JSON.parse((await bootswarm("images", "--json")).stdout);
  expect(images).toMatchObject([{ digest, names: ["debian-12"], sizeBytes: String(bytes.length) }]);
  expect(JSON.parse((await bootswarm("status", "--json")).stdout)).toMatchObject({
    agent: { nodeName: "node-a" },
    seeder: { readiness: "ready", images: 1 },
  });
  expect(JSON.parse((await bootswarm("fetch", digest, "--json")).stdout)).toMatchObject({
    fetch: { state: "FETCH_STATE_READY" },
    path: expect.stringContaining(digest),
  });
});

test("an image published without a torrent gets one later", async () => {
  const other = join(directory.path, "other.raw");
  await writeFile(other, randomBytes(100_000));
  expect((await bootswarm("publish", other, "-n", "plain", "--no-torrent")).stdout).toContain("magnet  (none");
  expect((await bootswarm("torrent", "plain")).stdout).toMatch(/^magnet {2}magnet:\?xt=/);
});

test("of an image without a boot image there is none to remove, in the words that were typed", async () => {
  const { status, stderr } = await bootswarm("boot", "rm", "debian-12");
  expect({ status, stderr }).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("debian-12 has no boot image"),
  });
});

test("a pinned image is not removed; unpinned, it is", async () => {
  await bootswarm("fetch", "debian-12");
  expect((await bootswarm("pin", "debian-12")).stdout).toBe("pinned debian-12\n");
  expect(await bootswarm("rm", "debian-12")).toMatchObject({ status: 1, stderr: expect.stringContaining("pinned") });
  await bootswarm("unpin", "debian-12");
  expect((await bootswarm("rm", "debian-12")).stdout).toMatch(/^removed debian-12 from this node; .* free again/);
  expect((await bootswarm("images", "--local")).stderr).toContain("no images on this node yet");
});

test("a leased image is not removed until the lease is released", async () => {
  const leased = await bootswarm("fetch", "debian-12", "--lease", "1h", "--holder", "vm-12");
  const [path, id] = leased.stdout.split("\n") as [string, string];
  expect(await readFile(path)).toEqual(bytes);
  expect(leased.stderr).toContain(`\`bootswarm release ${id}\` ends it`);
  expect((await bootswarm("leases")).stdout).toMatch(
    new RegExp(`^${id} +debian-12 +vm-12 +.* in (1 h|59 min.*)$`, "m"),
  );
  expect((await bootswarm("status")).stdout).toMatch(/leases +1\n/);
  expect((await bootswarm("images", "--local")).stdout).toContain(`lease ${id} (vm-12)`);
  expect((await bootswarm("renew", id, "2d")).stdout).toMatch(/it ends in (2 d|1 d 23 h)\n$/);
  const refused = await bootswarm("rm", "debian-12");
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining(`in use: lease ${id} (vm-12); wait`) });
  expect((await bootswarm("release", id)).stdout).toBe(`released lease ${id} of debian-12\n`);
  expect((await bootswarm("leases")).stderr).toContain("no leases");
});

test("fetch --hold keeps the image until Ctrl-C, and rm --force takes it all the same", async () => {
  const held = await interrupted(["fetch", "debian-12", "--hold"], async ({ stdout }) => {
    const [path] = await once(stdout!, "data");
    expect(await readFile(String(path).trim())).toEqual(bytes);
    expect(await bootswarm("rm", "debian-12")).toMatchObject({ status: 1, stderr: expect.stringContaining("in use") });
  });
  expect(held).toMatchObject({ status: 0, stderr: expect.stringContaining("held until Ctrl-C") });
  await expect.poll(async () => (await bootswarm("leases")).stderr, { timeout: 10_000 }).toContain("no leases");
  await bootswarm("fetch", "debian-12", "--lease", "90s");
  expect((await bootswarm("rm", "debian-12", "--force")).stdout).toMatch(/^removed debian-12/);
});

test("errors are one clear line, and the exit status tells usage from the rest", async () => {
  const cases: [args: string[], status: number, message: RegExp][] = [
    [["fetch", "no-such-image"], 1, /^error: .*no-such-image/],
    [["publish", image, "-n", ""], 1, /^error: "" cannot be an image's name; use 1 to 128 of/],
    [["publish", image, "-n", "x.torrent"], 1, /^error: "x\.torrent" cannot be .* because it ends in \.torrent\n$/],
    [["node", "zz"], 1, /^error: no node "zz" has ever reported; `bootswarm nodes` /],
    [
      ["import", "http://127.0.0.1:1/x", "-n", "x"],
      1,
      /^error: nobody answers at http:\/\/127\.0\.0\.1:1\/x .*check the URL\n$/,
    ],
    [["publish", image, "-n", "../evil"], 1, /^error: "\.\.\/evil" cannot be an image's name/],
    [["publish", "/no/such/file", "-n", "x"], 1, /^error: cannot read \/no\/such\/file: there is no such file\n$/],
    [["publish", image, "-n", "wrong", "--sha256", "0".repeat(64)], 1, /^error: .*nothing was published\n$/],
    [["publish", image, "-n", "wrong", "--sha256", "abc"], 2, /64 hex digits/],
    [["fetch", "debian-12", "--lease", "soon"], 2, /^error: "soon" is no duration; write 90s, 15m, 2h or 7d\n$/],
    [["release", "nothing"], 1, /^error: there is no lease "nothing"/],
    [["publish", image], 2, /required option '-n, --name <name>'/],
    [["fecth", "x"], 2, /unknown command 'fecth'\n\(Did you mean fetch\?\)/],
    [["import", "what?", "-n", "x"], 2, /is no http\(s\) URL, no magnet link, and no file here/],
    [["images", "--seeder", "nowhere"], 2, /write http:\/\/HOST:PORT, or unix:\/PATH/],
    [["images", "--seeder", "http://127.0.0.1:9"], 1, /no seeder answers at http:\/\/127\.0\.0\.1:9 .*refused/],
    [["fetches", "--agent", seeder.url], 1, /is no agent of this version.*the right way round/],
  ];
  for (const [args, status, message] of cases) {
    const outcome = await bootswarm(...args);
    expect(outcome.stderr.replace(/^(image\.raw: |x: |import \S+ runs in ).*\n/gm, "")).toMatch(message);
    expect(outcome).toMatchObject({ status, stdout: "" });
  }
});

test("Ctrl-C ends a watch with status 0", async () => {
  const outcome = await interrupted(["images", "--watch"], ({ stdout }) => once(stdout!, "data"));
  expect(outcome).toEqual({ status: 0, stderr: "" });
});

test("Ctrl-C of an import says that it goes on, and how to end it", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const source = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk`;
  const outcome = await interrupted(["import", source, "-n", "slow"], ({ stderr }) => once(stderr!, "data"));
  expect(outcome.status).toBe(130);
  expect(outcome.stderr).toMatch(/^import \S+ runs in the seeder; Ctrl-C leaves it running/);
  const { id } = /goes on in the seeder: .*`bootswarm cancel-import (?<id>\S+)` ends it/.exec(outcome.stderr)!.groups!;
  expect((await bootswarm("imports")).stdout).toMatch(new RegExp(`^${id} +slow +active`, "m"));
  expect((await bootswarm("cancel-import", id!)).stdout).toBe("cancelled slow\n");
});

test("retire takes the name away", async () => {
  expect((await bootswarm("retire", "debian-12")).stdout).toContain("the image is gone from the catalog");
  expect((await bootswarm("images")).stdout).not.toContain("debian-12");
});
