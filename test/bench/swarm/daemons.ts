/** The seeder and the agents in the lab: started, told their images, reached by their sockets. */
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AgentService } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { toolEnv } from "../../fixtures/tools.ts";
import type { BenchImage, ContenderOptions, SeederPayload } from "./contender.ts";
import type { LabHost } from "./lab-plan.ts";
import { LabProcess } from "./lab-process.ts";

const seederUrlPort = 7400;
const peerPorts = { seeder: 7401, agent: 7411 };
/** Agents that start at the same time: more than the machine's cores only take longer each. */
const startsAtOnce = 4;
const relayProgram = join(import.meta.dirname, "relay.ts");

export interface LabAgent {
  host: LabHost;
  process: LabProcess;
  service: Client<typeof AgentService>;
}

/** A seeder with images published, and agents that have joined it. */
export interface Daemons extends AsyncDisposable {
  seeder: LabProcess;
  agents: LabAgent[];
}

/** Starts the seeder, publishes the images with or without torrents, and starts the agents. */
export async function startDaemons(options: ContenderOptions, torrents: boolean): Promise<Daemons> {
  const { lab, images, signal } = options;
  const processes: LabProcess[] = [];
  const killAll = async () => {
    await Promise.all(processes.map((each) => each.kill()));
  };
  try {
    const seeder = await startSeeder(options, processes);
    const warmUp = options.agents.warmUp;
    for (const image of warmUp ? [warmUp, ...images] : images) await publish(options, image, torrents);
    const agents: LabAgent[] = [];
    const waiting = [...lab.plan.nodes];
    const startSome = async () => {
      for (let host = waiting.shift(); host; host = waiting.shift()) {
        agents.push(await startAgent(options, host, processes));
      }
    };
    await Promise.all(Array.from({ length: startsAtOnce }, startSome));
    for (const agent of agents) await untilJoined(agent, options.agents.noDht, signal);
    return { seeder, agents, [Symbol.asyncDispose]: killAll };
  } catch (error) {
    await killAll();
    throw error;
  }
}

async function startSeeder(options: ContenderOptions, processes: LabProcess[]): Promise<LabProcess> {
  const { seeder } = options.lab.plan;
  const { noDht, seederSettings } = options.agents;
  const process = spawnDaemon(options, "seeder", seeder, [
    `listen=0.0.0.0:${seederUrlPort}`,
    `dataDirectory=${stateDirectoryOf(options, seeder)}`,
    // Bound to its own loopback, nobody else reaches its peers' port and its DHT.
    `swarm.host=${noDht ? "127.0.0.1" : seeder.address}`,
    `swarm.advertiseHost=${seeder.address}`,
    `swarm.port=${peerPorts.seeder}`,
    `dht.port=${peerPorts.seeder}`,
    ...zoneOf(options, seeder),
    ...seederSettings,
  ]);
  processes.push(process);
  await process.says("peerPort");
  return process;
}

async function startAgent(options: ContenderOptions, host: LabHost, processes: LabProcess[]): Promise<LabAgent> {
  const { lab, directory, agents } = options;
  const socketPath = join(directory, `${host.name}.sock`);
  const process = spawnDaemon(options, "agent", host, [
    `listen=unix:${socketPath}`,
    `stateDirectory=${stateDirectoryOf(options, host)}`,
    `name=${host.name}`,
    `seeder.url=http://${lab.plan.seeder.address}:${seederUrlPort}`,
    `swarm.host=${host.address}`,
    `swarm.port=${peerPorts.agent}`,
    `dht.port=${peerPorts.agent}`,
    ...zoneOf(options, host),
    ...agents.settings,
  ]);
  processes.push(process);
  await process.says("peerPort");
  return { host, process, service: createClient(AgentService, transportTo(socketPath)) };
}

function zoneOf({ lab, agents }: ContenderOptions, host: LabHost): string[] {
  return lab.plan.zones.length > 1 && agents.knowZones ? [`zone=${host.zone}`] : [];
}

function programOf({ agents }: ContenderOptions): string {
  return join(agents.checkout, "bin/bootswarm.js");
}

function nodeOf({ agents: { compileCache } }: ContenderOptions): string[] {
  return [...(compileCache ? ["env", `NODE_COMPILE_CACHE=${compileCache}`] : []), process.execPath];
}

function spawnDaemon(options: ContenderOptions, kind: "seeder" | "agent", host: LabHost, settings: string[]) {
  const command = [...nodeOf(options), programOf(options), kind, ...settings.flatMap((setting) => ["--set", setting])];
  const log = options.logDirectory && join(options.logDirectory, `${host.name}.log`);
  return new LabProcess(host.name, options.lab.commandOn(host, command), log);
}

/** Where a host's process keeps its files; made if it is not there. */
export function stateDirectoryOf({ directory }: ContenderOptions, host: LabHost): string {
  const path = join(directory, host.name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Publishes from the seeder's own namespace, so that nothing of it goes through a link. */
async function publish(options: ContenderOptions, image: BenchImage, torrent: boolean): Promise<void> {
  const wanted = ["publish", image.path, "--name", image.name, "--sha256", image.sha256];
  await onSeeder(options, [
    programOf(options),
    "--seeder",
    localSeederUrl,
    ...wanted,
    ...(torrent ? [] : ["--no-torrent"]),
  ]);
}

const localSeederUrl = `http://127.0.0.1:${seederUrlPort}`;

async function onSeeder(options: ContenderOptions, args: string[]): Promise<string> {
  const { lab, signal } = options;
  const [command, ...rest] = lab.commandOn(lab.plan.seeder, [...nodeOf(options), ...args]) as [string, ...string[]];
  return (await promisify(execFile)(command, rest, { env: toolEnv, signal })).stdout;
}

/** Waits until an agent has spoken with the seeder and knows its DHT, as an agent does that has run for a while. */
async function untilJoined({ service }: LabAgent, noDht: boolean, signal: AbortSignal): Promise<void> {
  for (;;) {
    const status = await service.getStatus({}, { signal });
    if (status.seederReachable && (noDht || status.dhtNodes > 0)) return;
    await sleep(100, undefined, { signal });
  }
}

const printMetrics = `process.stdout.write(await (await fetch("${localSeederUrl}/metrics")).text())`;

/** Bytes of images that the seeder has sent so far. */
export async function seederPayload(options: ContenderOptions): Promise<SeederPayload> {
  const text = await onSeeder(options, ["--input-type=module", "--eval", printMetrics]);
  const counter = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  return {
    swarmBytes: counter("bootswarm_seeder_sent_bytes_total"),
    httpBytes: counter("bootswarm_seeder_origin_sent_bytes_total"),
  };
}

/**
 * A way to the seeder's API from outside the lab, that takes nothing of its link: a process in its namespace that passes on
 * what comes by a Unix socket.
 */
export async function relayToSeeder(options: ContenderOptions): Promise<AsyncDisposable & { transport: Transport }> {
  const socketPath = join(options.directory, "seeder.sock");
  const command = [process.execPath, relayProgram, socketPath, String(seederUrlPort)];
  const relay = new LabProcess("relay", options.lab.commandOn(options.lab.plan.seeder, command));
  await relay.says("listening");
  return { transport: transportTo(socketPath), [Symbol.asyncDispose]: () => relay.kill() };
}

function transportTo(socketPath: string): Transport {
  return createConnectTransport({ baseUrl: "http://localhost", httpVersion: "1.1", nodeOptions: { socketPath } });
}
