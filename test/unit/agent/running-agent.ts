import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { onTestFinished } from "vitest";
import { type Agent, openAgent } from "../../../agent/agent.ts";
import { agentConfigSchema } from "../../../agent/config.ts";
import { loadConfig } from "../../../daemon/config.ts";
import { createLog, type Log } from "../../../daemon/log.ts";
import { AgentService } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { type Fetch, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Disk } from "../../../swarm/disk.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** An agent in this process, on ports of the kernel's choice, and a client of its API. */
export interface RunningAgent {
  agent: Agent;
  url: string;
  stateDirectory: string;
  service: ReturnType<typeof createClient<typeof AgentService>>;
  close(): Promise<void>;
  /** Closes it and opens another on the same directory. */
  restart(settings?: Record<string, unknown>): Promise<RunningAgent>;
}

/** Starts an agent that is closed when the test has finished. It logs nothing, unless given where. */
export async function startAgent(
  seederUrl: string,
  settings: Record<string, unknown> = {},
  log: Log = createLog({ level: "silent", name: "test" }),
  disk?: Disk,
): Promise<RunningAgent> {
  const stateDirectory = (settings.stateDirectory as string | undefined) ?? join(await temporaryDirectory(), "state");
  const ports = { listen: "127.0.0.1:0", "swarm.port": 0, "dht.port": 0, "report.intervalMs": 200 };
  const config = loadConfig(agentConfigSchema, {
    settings: { ...ports, "seeder.url": seederUrl, ...settings, stateDirectory },
  });
  const agent = await openAgent(config, log, disk);
  let closed = false;
  const close = async () => {
    if (!closed) await agent.close();
    closed = true;
  };
  onTestFinished(close);
  return {
    agent,
    url: agent.url,
    stateDirectory,
    service: createClient(AgentService, createConnectTransport({ baseUrl: agent.url, httpVersion: "1.1" })),
    close,
    restart: async (more = {}) => {
      await close();
      return startAgent(seederUrl, { ...settings, ...more, stateDirectory }, log, disk);
    },
  };
}

/** Asks for an image and waits for the end of its fetch. */
export async function fetchToEnd({ service }: RunningAgent, image: string): Promise<{ fetch: Fetch; path: string }> {
  let last: { fetch?: Fetch | undefined; path: string } | undefined;
  for await (const response of service.ensureImage({ image })) last = response;
  if (!last?.fetch) throw new Error("the stream ended without a fetch");
  return { fetch: last.fetch, path: last.path };
}

/** Asks for an image and waits until `reached` is true of its fetch, which goes on. */
export async function fetchUntil(
  { service }: RunningAgent,
  image: string,
  reached: (fetch: Fetch) => boolean,
): Promise<Fetch> {
  for await (const { fetch } of service.ensureImage({ image })) {
    if (fetch && reached(fetch)) return fetch;
    if (fetch?.state === FetchState.FAILED) throw new Error(`the fetch failed: ${fetch.error}`);
  }
  throw new Error("the fetch ended before that");
}
