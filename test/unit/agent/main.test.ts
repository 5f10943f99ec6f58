import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test, vi } from "vitest";
import { AgentService } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { processesTimeoutMs, runEntryPoint, startEntryPoint } from "../../fixtures/entry-point.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, startAgent } from "./running-agent.ts";

vi.setConfig({ testTimeout: processesTimeoutMs });

const main = `${import.meta.dirname}/../../../agent/main.ts`;
const anyPorts = ["--listen", "127.0.0.1:0", "--set", "swarm.port=0", "--set", "dht.port=0"];
/** Nothing listens on the discard port of loopback. */
const noSeeder = ["--seeder", "http://127.0.0.1:9"];

const run = (...args: string[]) => runEntryPoint(main, args);

async function start(...args: string[]) {
  const started = await startEntryPoint(main, args);
  const transport = createConnectTransport({ baseUrl: started.url, httpVersion: "1.1" });
  return { ...started, service: createClient(AgentService, transport) };
}

test("it starts without a seeder, and ends in order on SIGTERM", async () => {
  const { child, exited, url } = await start("--state", await temporaryDirectory(), ...noSeeder, ...anyPorts);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
});

test("a second one on the same directory says in one line who has it", async () => {
  const directory = await temporaryDirectory();
  const { child } = await start("--state", directory, ...noSeeder, ...anyPorts);
  const { status, stderr } = await run("--state", directory, ...noSeeder, ...anyPorts);
  expect(status).toBe(1);
  expect(stderr.split("\n")).toEqual([
    expect.stringContaining(
      `bootswarm agent: ${directory} is in use by another process (pid ${child.pid}); stop it or`,
    ),
    "",
  ]);
});

test("a port that is taken is named with the key that sets it", async () => {
  const tcp = createServer().listen(0, "127.0.0.1");
  const udp = createSocket("udp4").bind(0, "127.0.0.1");
  onTestFinished(() => {
    tcp.close();
    udp.close();
  });
  await Promise.all([once(tcp, "listening"), once(udp, "listening")]);
  const [tcpPort, udpPort] = [(tcp.address() as AddressInfo).port, udp.address().port];
  const attempt = async (...args: string[]) =>
    run("--state", await temporaryDirectory(), ...noSeeder, ...anyPorts, ...args);
  const oneLine = (text: string) => ({
    status: 1,
    stdout: "",
    stderr: expect.stringMatching(new RegExp(`^${text}[^\n]*\n$`)),
  });
  expect(await attempt("--listen", `127.0.0.1:${tcpPort}`)).toEqual(
    oneLine(`bootswarm agent: 127.0.0.1:${tcpPort} is in use by another process; .*--listen`),
  );
  expect(await attempt("--set", `swarm.port=${tcpPort}`)).toEqual(
    oneLine(`bootswarm agent: 127.0.0.1:${tcpPort} \\(TCP, peers\\) is in use by another process; .*swarm.port`),
  );
  expect(await attempt("--set", `dht.port=${udpPort}`)).toEqual(
    oneLine(`bootswarm agent: 127.0.0.1:${udpPort} \\(UDP, DHT\\) is in use by another process; .*dht.port`),
  );
});

test.each([
  [["--set", "swarm.prot=1"], /^bootswarm agent: .*no key "swarm.prot"; the nearest is "swarm.port"\n$/],
  [
    ["--set", "__proto__.x=1"],
    /^bootswarm agent: configuration: there is no key "__proto__.x"; the nearest is "[a-zA-Z.]+"\n$/,
  ],
  [["--listen", "nowhere"], /^bootswarm agent: "nowhere" is no address to listen on.*\n$/],
  [
    ["--state", "/dev/null/state"],
    /^bootswarm agent: cannot use the state directory \/dev\/null\/state; .*--state.*\n$/,
  ],
  [["--state", "/proc/state"], /^bootswarm agent: cannot use the state directory \/proc\/state; .*--state.*\n$/],
  [["--seeder", "seeder:7400"], /^bootswarm agent: .*seeder.url: must be an http or https URL.*\n$/],
  [["--config", "/nothing.yaml"], /^bootswarm agent: cannot read the configuration file \/nothing.yaml.*\n$/],
])("%j ends with one line that says why", async (args, line) => {
  const { status, stderr } = await run(...args);
  expect([status, stderr]).toEqual([1, expect.stringMatching(line)]);
});

test.each([
  [["--bogus"], /^bootswarm agent: Unknown option '--bogus'.*\n$/],
  [["--state"], /^bootswarm agent: Option '--state <value>' argument missing.*\n$/],
  [["extra"], /^bootswarm agent: Unexpected argument 'extra'.*\n$/],
  [["--set", "swarm"], /^bootswarm agent: --set swarm: write --set KEY=VALUE\n$/],
])("%j makes no sense: one line, and status 2", async (args, line) => {
  const { status, stderr } = await run(...args);
  expect([status, stderr]).toEqual([2, expect.stringMatching(line)]);
});

test("--help says what there is to set", async () => {
  const { status, stdout } = await run("--help");
  expect(status).toBe(0);
  for (const option of ["--config", "--seeder", "--state", "--listen", "--name", "--set"])
    expect(stdout).toContain(option);
});

test("killed in the midst of a fetch, it goes on with the pieces that were on disk", async () => {
  const bytes = randomBytes(12 * 1024 * 1024);
  const seeder = await startSeeder();
  await fetch(`${seeder.url}/images/image`, { method: "PUT", body: bytes });
  const stateDirectory = await temporaryDirectory();
  const slow = ["--set", `swarm.downloadBytesPerSecondMax=${2 * 1024 * 1024}`];
  const killed = await start("--state", stateDirectory, "--seeder", seeder.url, ...anyPorts, ...slow);
  for await (const { fetch } of killed.service.ensureImage({ image: "image" })) {
    // By now the pieces of the first two seconds have been recorded.
    if (fetch && fetch.doneBytes > 6n * 1024n * 1024n) break;
  }
  killed.child.kill("SIGKILL");
  await killed.exited;
  const agent = await startAgent(seeder.url, { stateDirectory });
  const { fetch: again, path } = await fetchToEnd(agent, "image");
  expect(again.state).toBe(FetchState.READY);
  expect(Number(again.swarmBytes)).toBeLessThan(bytes.length - 2 * 1024 * 1024);
  expect((await readFile(path)).equals(bytes)).toBe(true);
});
