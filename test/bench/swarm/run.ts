/** One run: a contender brings a scenario's images to every node, and what that took. */
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { usageOf } from "../process-usage.ts";
import type { AgentOptions, BenchImage, Contender, Field, Ready } from "./contender.ts";
import type { Lab } from "./lab.ts";
import { cpuBetween, deviceBytesOf, machineTicks } from "./machine-load.ts";
import type { RunResult } from "./results.ts";

/** How often the seeder's link is read. */
const sampleMs = 1_000;
/** Longest that starting all processes and publishing may take. */
const startTimeoutMs = 300_000;

export interface RunOptions {
  lab: Lab;
  contenderName: string;
  contender: Contender;
  images: BenchImage[];
  linkBitsPerSecond: number;
  agents: AgentOptions;
  /** The run's files are made, and removed, below it. */
  directory: string;
  logDirectory: string | undefined;
  timeoutSeconds: number;
}

/** Runs one contender from a fresh start to its end. @throws Error if an image is not ready in time, or is wrong. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { images } = options;
  const directory = mkdtempSync(join(options.directory, "run-"));
  const timeout = new AbortController();
  let timer = setTimeout(() => timeout.abort(), startTimeoutMs);
  try {
    await using field = await options.contender({ ...options, directory, signal: timeout.signal });
    clearTimeout(timer);
    timer = setTimeout(() => timeout.abort(), options.timeoutSeconds * 1_000);
    const { ready, ...measured } = await measure(field, options);
    clearTimeout(timer);
    await checkFiles(ready, images);
    return { ...identity(options), ...measured };
  } catch (error) {
    if (!timeout.signal.aborted) throw error;
    const what = `${options.contenderName}: not all images were ready on all nodes in time`;
    throw new Error(`${what} (--timeout-s; ${options.timeoutSeconds} s)`, { cause: error });
  } finally {
    clearTimeout(timer);
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

function identity({ contenderName, images, lab, linkBitsPerSecond }: RunOptions) {
  const imageBytes = images.reduce((sum, image) => sum + image.sizeBytes, 0);
  return {
    contender: contenderName,
    images: images.length,
    imageBytes,
    nodes: lab.plan.nodes.length,
    zones: lab.plan.zones.length,
    limitSeconds: (imageBytes * 8) / linkBitsPerSecond,
  };
}

async function measure(field: Field, { lab, images }: RunOptions) {
  const { device } = lab.plan.seeder;
  const sentNow = () => deviceBytesOf(field.seederPid, device).sent;
  const payloadBefore = await field.seederPayload();
  const before = {
    ticks: machineTicks(),
    seederCpu: usageOf(field.seederPid).cpuSeconds,
    nodeCpu: field.nodePids.map((pid) => usageOf(pid).cpuSeconds),
    sent: sentNow(),
    zoneLinkBytes: lab.zoneLinkBytes(),
  };
  const ready: Ready[] = [];
  const seederSentBytes: number[] = [];
  let lastSent = before.sent;
  const sample = () => {
    const now = sentNow();
    seederSentBytes.push(now - lastSent);
    lastSent = now;
  };
  const startMs = Date.now();
  const sampler = setInterval(sample, sampleMs);
  await field.fetchAll((one) => ready.push(one)).finally(() => clearInterval(sampler));
  sample();
  const after = {
    ticks: machineTicks(),
    seederCpu: usageOf(field.seederPid).cpuSeconds,
    nodeCpu: field.nodePids.map((pid) => usageOf(pid).cpuSeconds),
    zoneLinkBytes: lab.zoneLinkBytes(),
  };
  const allSeconds = (Math.max(...ready.map(({ atMs }) => atMs)) - startMs) / 1_000;
  const imageBytes = images.reduce((sum, image) => sum + image.sizeBytes, 0);
  const payload = await field.seederPayload();
  const httpBytes = payload.httpBytes - payloadBefore.httpBytes;
  const payloadBytes = payload.swarmBytes - payloadBefore.swarmBytes + httpBytes;
  const machine = cpuBetween(before.ticks, after.ticks);
  const seederCpuSeconds = after.seederCpu - before.seederCpu;
  const nodeCpuSeconds = after.nodeCpu.map((seconds, index) => seconds - (before.nodeCpu[index] ?? 0));
  const ownCpuSeconds = nodeCpuSeconds.reduce((sum, seconds) => sum + seconds, seederCpuSeconds);
  return {
    ready,
    readySeconds: ready.map(({ node, image, atMs }) => ({ node, image, seconds: (atMs - startMs) / 1_000 })),
    seederPayloadOverImages: payloadBytes / imageBytes,
    seederHttpOverImages: httpBytes / imageBytes,
    seederLinkOverImages: (lastSent - before.sent) / imageBytes,
    seederSentBytes: seederSentBytes.slice(0, Math.ceil(allSeconds)),
    seederCpuSeconds,
    nodeCpuSeconds,
    nodePeakRssMib: field.nodePids.map((pid) => usageOf(pid).peakMib),
    zoneLinkOverImages: (after.zoneLinkBytes - before.zoneLinkBytes) / imageBytes,
    machineIdlePercent: (100 * machine.idleSeconds) / machine.seconds,
    machineOwnPercent: (100 * ownCpuSeconds) / machine.seconds,
  };
}

/** Every file that was called ready has the image's bytes. */
async function checkFiles(ready: Ready[], images: BenchImage[]): Promise<void> {
  const wanted = new Map(images.map((image) => [image.name, image.sha256]));
  for (const { node, image, path } of ready) {
    const hash = createHash("sha256");
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
    if (hash.digest("hex") !== wanted.get(image))
      throw new Error(`${image} on ${node} differs from what was published`);
  }
}
