/** What an operator meets: wrong settings, taken ports and directories, orderly ends. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { request } from "undici";
import { expect, test } from "vitest";
import { publish, spawnDaemon, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const nobody = "http://127.0.0.1:1";

/** One line for a person: what is wrong and what to do, no stack. */
function expectRefusal(output: string, message: RegExp) {
  expect(output).toMatch(message);
  expect(output).not.toMatch(/^\s+at /m);
}

test.each(["seeder", "agent"] as const)("an unknown key stops the %s, with the nearest one named", async (kind) => {
  const process = spawnDaemon(kind, { "swarm.prot": 1 });
  expect(await process.exited).toBe(1);
  expectRefusal(process.output(), /there is no key "swarm.prot"; the nearest is "swarm.port"/);
});

test("a second agent on a state directory is told who has it", async () => {
  const directory = await temporaryDirectory();
  const agent = await startAgent(nobody, join(directory, "node"));
  const second = spawnDaemon("agent", { "seeder.url": nobody, stateDirectory: join(directory, "node") }, "second");
  expect(await second.exited).toBe(1);
  expectRefusal(second.output(), new RegExp(`node is in use by another process \\(pid ${agent.process.child.pid}\\)`));
});

test("a second seeder on a data directory is told who has it", async () => {
  const directory = await temporaryDirectory();
  await startSeeder(directory);
  const second = spawnDaemon("seeder", { dataDirectory: directory }, "second");
  expect(await second.exited).toBe(1);
  expectRefusal(second.output(), /is in use by another process \(pid \d+\)/);
});

test.each(["listen", "swarm.port", "dht.port"])("a taken %s stops the seeder, and says which", async (key) => {
  const directory = await temporaryDirectory();
  const first = await startSeeder(join(directory, "first"));
  const taken = { listen: new URL(first.url).host, "swarm.port": first.peerPort, "dht.port": first.dhtPort }[key] ?? "";
  const second = spawnDaemon("seeder", { dataDirectory: join(directory, "second"), [key]: taken }, "second");
  expect(await second.exited).toBe(1);
  expectRefusal(second.output(), new RegExp(`${String(taken).split(":").at(-1)}.*in use`));
});

test("an agent without its seeder starts all the same, and says so", async () => {
  const directory = await temporaryDirectory();
  const agent = await startAgent(nobody, join(directory, "node"));
  const { statusCode, body } = await request(`${agent.url}/readyz`);
  expect(statusCode).toBe(503);
  expect(await body.text()).toContain(nobody);
  const status = await eventually(async () => {
    const now = await agent.service.getStatus({});
    return now.seederError === "" ? undefined : now;
  }, "the status says why");
  expect(status.seederReachable).toBe(false);
});

test("SIGTERM in the middle of a fetch and of an upload ends both daemons in seconds, and leaves nothing half-written", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 512 * 1024 });
  await publish(seeder, await makeRandomFile(directory, "image", 16), "image");
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const fetching = (async () => {
    for await (const _ of agent.service.ensureImage({ image: "image" }));
  })().catch(() => {});
  await eventually(async () => ((await agent.service.getStatus({})).peers > 0 ? true : undefined), "the fetch runs");
  let sentBytes = 0;
  const endless = async function* () {
    for (;;) {
      sentBytes += 65_536;
      yield Buffer.alloc(65_536);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const uploading = request(`${seeder.url}/images/endless`, { method: "PUT", body: Readable.from(endless()) }).catch(
    () => {},
  );
  await eventually(() => (sentBytes > 1_000_000 ? true : undefined), "the upload runs");
  for (const daemon of [agent, seeder]) {
    const startedMs = performance.now();
    expect(await daemon.process.kill("SIGTERM")).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(6_000);
  }
  await Promise.all([fetching, uploading]);
  expect(await readdir(join(directory, "node/tmp"))).toEqual([]);
  expect(await readdir(join(directory, "seeder/tmp"))).toEqual([]);
  expect(await readdir(join(directory, "seeder/images"))).toHaveLength(1);
});
