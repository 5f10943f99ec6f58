/** A real seeder with the disk published, and real agents in the lab's namespaces. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AgentService } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { requireTool, run } from "../../fixtures/tools.ts";
import type { LabHost } from "../swarm/lab-plan.ts";
import { LabProcess } from "../swarm/lab-process.ts";
import type { Scene } from "./scene.ts";

const program = join(import.meta.dirname, "../../../bin/bootswarm.js");
const seederUrlPort = 7400;
const peerPorts = { seeder: 7401, agent: 7411 };
const localSeederUrl = `http://127.0.0.1:${seederUrlPort}`;
const publishTimeoutMs = 300_000;
const joinTimeoutMs = 60_000;

export const imageName = "debian";

export interface BenchAgent {
  process: LabProcess;
  service: Client<typeof AgentService>;
  stateDirectory: string;
}

/** Starts a seeder and publishes the raw disk in the swarm, and what it boots from first if that is given. */
export async function startSeeder(scene: Scene, bootImagePath?: string): Promise<LabProcess> {
  requireTool("curl");
  const { lab, disk } = scene;
  const { seeder } = lab.plan;
  const daemon = spawnDaemon(scene, "seeder", seeder, {
    listen: `0.0.0.0:${seederUrlPort}`,
    dataDirectory: directoryOf(scene, seeder),
    "swarm.host": seeder.address,
    "swarm.port": peerPorts.seeder,
    "dht.port": peerPorts.seeder,
  });
  await daemon.says("peerPort");
  const onSeeder = async (command: string[]) => {
    const [first, ...args] = lab.commandOn(seeder, command);
    await run(first as string, args, { timeoutMs: publishTimeoutMs });
  };
  const publish = ["publish", disk.rawPath, "--name", imageName, "--sha256", disk.sha256];
  await onSeeder([process.execPath, program, "--seeder", localSeederUrl, ...publish]);
  if (bootImagePath !== undefined) {
    const url = `${localSeederUrl}/images/${disk.sha256}.boot`;
    await onSeeder(["curl", "--silent", "--show-error", "--fail-with-body", "--upload-file", bootImagePath, url]);
  }
  return daemon;
}

/** Starts an agent with nothing in its cache, and waits until it is in the swarm as one is that has run for a while. */
export async function startAgent(
  scene: Scene,
  host: LabHost,
  settings: Record<string, string | number>,
): Promise<BenchAgent> {
  const { seeder } = scene.lab.plan;
  const socketPath = join(scene.directory, `${host.name}.sock`);
  const stateDirectory = directoryOf(scene, host);
  const daemon = spawnDaemon(scene, "agent", host, {
    listen: `unix:${socketPath}`,
    stateDirectory,
    name: host.name,
    "seeder.url": `http://${seeder.address}:${seederUrlPort}`,
    "swarm.host": host.address,
    "swarm.port": peerPorts.agent,
    "dht.port": peerPorts.agent,
    ...settings,
  });
  await daemon.says("peerPort");
  const transport = createConnectTransport({
    baseUrl: "http://localhost",
    httpVersion: "1.1",
    nodeOptions: { socketPath },
  });
  const service = createClient(AgentService, transport);
  const deadlineMs = performance.now() + joinTimeoutMs;
  for (;;) {
    const status = await service.getStatus({});
    if (status.seederReachable && status.dhtNodes > 0) break;
    if (performance.now() > deadlineMs) throw daemon.failure("does not join the swarm");
    await sleep(50);
  }
  return { process: daemon, service, stateDirectory };
}

function spawnDaemon(
  scene: Scene,
  kind: "seeder" | "agent",
  host: LabHost,
  settings: Record<string, string | number>,
): LabProcess {
  const extra = kind === "agent" ? scene.agentSettings : [];
  const sets = [...Object.entries(settings).map(([key, value]) => `${key}=${value}`), ...extra];
  const command = [process.execPath, program, kind, ...sets.flatMap((setting) => ["--set", setting])];
  const log = scene.logDirectory && join(scene.logDirectory, `${host.name}.log`);
  return new LabProcess(host.name, scene.lab.commandOn(host, command), log);
}

function directoryOf({ directory }: Scene, host: LabHost): string {
  const path = join(directory, host.name);
  mkdirSync(path, { recursive: true });
  return path;
}
