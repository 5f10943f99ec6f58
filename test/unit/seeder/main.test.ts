import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { processesTimeoutMs, runEntryPoint, startEntryPoint } from "../../fixtures/entry-point.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

vi.setConfig({ testTimeout: processesTimeoutMs });

const main = join(import.meta.dirname, "../../../seeder/main.ts");
const anyPorts = ["--listen", "127.0.0.1:0", "--set", "swarm.port=0", "--set", "dht.port=0"];

const run = (...args: string[]) => runEntryPoint(main, args);

async function start(...args: string[]) {
  const started = await startEntryPoint(main, args);
  for (const { service } of started.lines) expect(service).toBe("bootswarm-seeder");
  return started;
}

test("it listens, says where, and ends in order on SIGTERM", async () => {
  const { child, exited, url } = await start("--data", await temporaryDirectory(), ...anyPorts);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
});

test("killed at once after an upload was answered, it has the image when it is back", async () => {
  const directory = await temporaryDirectory();
  const { child, exited, url } = await start("--data", directory, ...anyPorts);
  expect((await fetch(`${url}/images/one`, { method: "PUT", body: "some bytes" })).status).toBe(201);
  child.kill("SIGKILL");
  await exited;
  const again = await start("--data", directory, ...anyPorts);
  expect(await (await fetch(`${again.url}/images/one/data`)).text()).toBe("some bytes");
  expect((await fetch(`${again.url}/images/one.torrent`)).status).toBe(200);
});

test("a second one on the same directory says in one line who has it", async () => {
  const directory = await temporaryDirectory();
  const { child } = await start("--data", directory, ...anyPorts);
  const second = await run("--data", directory, ...anyPorts);
  expect(second.status).toBe(1);
  const [line, ...others] = second.stderr.split("\n");
  expect(line).toContain(`bootswarm seeder: ${directory} is in use by another process (pid ${child.pid}); stop it or`);
  expect(others).toEqual([""]);
});

test.each([
  [["--set", "swarm.prot=1"], /^bootswarm seeder: .*no key "swarm.prot"; the nearest is "swarm.port"\n$/],
  [["--listen", "nowhere"], /^bootswarm seeder: "nowhere" is no address to listen on.*\n$/],
  [["--data", "/dev/null/data"], /^bootswarm seeder: cannot use \/dev\/null\/data as the data directory.*--data.*\n$/],
  [["--data", "/proc/nothing/data"], /^bootswarm seeder: cannot use \/proc\/nothing\/data as the data directory.*\n$/],
  [["--config", "/nothing.yaml"], /^bootswarm seeder: cannot read the configuration file \/nothing.yaml.*\n$/],
])("%j ends with one line that says why", async (args, line) => {
  const { status, stderr } = await run(...args);
  expect([status, stderr]).toEqual([1, expect.stringMatching(line)]);
});

test.each([
  [["--bogus"], /^bootswarm seeder: unknown option '--bogus'.*\n$/],
  [["--data"], /^bootswarm seeder: option '--data <directory>' argument missing.*\n$/],
  [["extra"], /^bootswarm seeder: too many arguments.*\n$/],
  [["--set", "swarm"], /^bootswarm seeder: --set swarm: write key=value.*\n$/],
])("%j makes no sense: one line, and status 2", async (args, line) => {
  const { status, stderr } = await run(...args);
  expect([status, stderr]).toEqual([2, expect.stringMatching(line)]);
});

test("a configuration file is read, and the command line wins over it", async () => {
  const directory = await temporaryDirectory();
  const file = join(directory, "seeder.yaml");
  await writeFile(file, `dataDirectory: ${directory}/data\nlisten: nowhere\nswarm: {port: 0}\ndht: {port: 0}\n`);
  const { url } = await start("--config", file, "--listen", "127.0.0.1:0");
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

test("--help shows the options", async () => {
  const { status, stdout } = await run("--help");
  expect(status).toBe(0);
  for (const option of ["--config", "--data", "--listen", "--set"]) expect(stdout).toContain(option);
});
