/** What is measured of an agent: seeding and otherwise idle, and with as many fetches as are active at once. */
import { setTimeout as wait } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { request } from "undici";
import { AgentService } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { startDaemon } from "../child.ts";
import { usageOf } from "../process-usage.ts";

/** As Prometheus is commonly set. */
const scrapeIntervalMs = 15_000;
/** An agent that has just started still announces and compiles; this is over by then. */
const settleMs = 20_000;

export interface Idle extends Record<string, number> {
  residentMib: number;
  peakMib: number;
  cpuSecondsPerMinute: number;
}

export interface Fetching extends Record<string, number> {
  /** Before the first fetch. */
  startedMib: number;
  peakMib: number;
  /** When all are ready. */
  residentMib: number;
  mbPerSecond: number;
  cpuSecondsPerGb: number;
}

export interface AgentUnderTest {
  launcher: readonly string[];
  seederUrl: string;
  stateDirectory: string;
}

/** An agent that holds `images` images, seeds them, and is scraped now and then. */
export async function measureIdle(options: AgentUnderTest, images: number, seconds: number): Promise<Idle> {
  const agent = await startAgent(options);
  await using child = agent.process;
  for (;;) {
    const { images: held } = await agent.service.listImages({});
    if (held.filter(({ seeding }) => seeding).length === images) break;
    await wait(100);
  }
  await wait(settleMs);
  const before = usageOf(child.pid);
  const startMs = performance.now();
  for (let leftMs = seconds * 1_000; leftMs > 0; leftMs -= scrapeIntervalMs) {
    await wait(Math.min(scrapeIntervalMs, leftMs));
    await (await request(`${agent.url}/metrics`)).body.dump();
  }
  const after = usageOf(child.pid);
  const minutes = (performance.now() - startMs) / 60_000;
  await child.end("SIGTERM");
  return {
    residentMib: after.residentMib,
    peakMib: after.peakMib,
    cpuSecondsPerMinute: (after.cpuSeconds - before.cpuSeconds) / minutes,
  };
}

/** A fresh agent that fetches all of the images at once. */
export async function measureFetches(options: AgentUnderTest, images: string[], bytesEach: number): Promise<Fetching> {
  const agent = await startAgent(options);
  await using child = agent.process;
  const before = usageOf(child.pid);
  const startMs = performance.now();
  await Promise.all(images.map((image) => ensure(agent.service, image)));
  const seconds = (performance.now() - startMs) / 1_000;
  const after = usageOf(child.pid);
  await child.end("SIGTERM");
  const gigabytes = (images.length * bytesEach) / 1e9;
  return {
    startedMib: before.residentMib,
    peakMib: after.peakMib,
    residentMib: after.residentMib,
    mbPerSecond: (gigabytes * 1e3) / seconds,
    cpuSecondsPerGb: (after.cpuSeconds - before.cpuSeconds) / gigabytes,
  };
}

export async function startAgent({ launcher, seederUrl, stateDirectory }: AgentUnderTest) {
  const agent = await startDaemon("agent", { "seeder.url": seederUrl, stateDirectory }, launcher);
  const transport = createConnectTransport({ baseUrl: agent.url, httpVersion: "1.1" });
  return { ...agent, service: createClient(AgentService, transport) };
}

export async function ensure(service: Client<typeof AgentService>, image: string): Promise<void> {
  let state = FetchState.UNSPECIFIED;
  for await (const { fetch } of service.ensureImage({ image })) state = fetch?.state ?? state;
  if (state !== FetchState.READY) throw new Error(`${image} ended in state ${FetchState[state]}`);
}
