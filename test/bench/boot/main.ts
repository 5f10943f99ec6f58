/** npm run bench:boot: from the wish for a VM to its READY line, case beside case. See options.ts. */
import { mkdirSync } from "node:fs";
import { exitOnSignals } from "../interruption.ts";
import { rounded } from "../statistics.ts";
import type { LabHost } from "../swarm/lab-plan.ts";
import { cpuBetween, machineTicks } from "../swarm/machine-load.ts";
import type { BootCase, DaemonsCpu, StartedCase } from "./case.ts";
import { bootImage, cold, profile } from "./cases/bootswarm.ts";
import { download } from "./cases/download.ts";
import { localFile } from "./cases/local-file.ts";
import { nbdkitCurl } from "./cases/nbdkit-curl.ts";
import { nbdkitTorrent } from "./cases/nbdkit-torrent.ts";
import { type BenchDisk, benchDisk } from "./disk.ts";
import { type BenchOptions, optionsFrom, quickCases, quickCasesOnce, quickLinkOnce, usage } from "./options.ts";
import { Report } from "./report.ts";
import { type BootResult, linkText } from "./results.ts";
import { type Link, makeScene, receivedBytes, type Scene } from "./scene.ts";
import { type Accelerator, accelerator, bootToReady, type VmOptions } from "./vm.ts";

const cases: BootCase[] = [localFile, download, nbdkitCurl, nbdkitTorrent, cold, profile, bootImage];

// The lab and the files go at the process's end, whichever way that comes.
exitOnSignals();
try {
  const options = optionsFrom(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
  process.exit(0);
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench:boot: ${(error as Error).message}`);
  process.exit(1);
}

async function bench(options: BenchOptions): Promise<void> {
  const chosen = casesFrom(options);
  if (options.logDirectory) mkdirSync(options.logDirectory, { recursive: true });
  const disk = await benchDisk(options.diskDirectory);
  const accel = accelerator();
  const report = Report.open(options, disk, accel);
  let failed = 0;
  for (let round = 1; round <= options.rounds; round++) {
    for (const [link, bootCase] of options.links.flatMap((each) => chosen(each).map((one) => [each, one] as const))) {
      try {
        report.add(await measure(bootCase, link, disk, options, accel));
      } catch (error) {
        // The others' results are worth having.
        failed += 1;
        console.error(`${bootCase.name} over ${linkText(link)} failed: ${(error as Error).message}`);
      }
    }
  }
  report.print();
  if (failed > 0) throw new Error(`${failed} boots failed; measure them again with --append`);
}

/** Which cases are measured over a link. */
function casesFrom({ cases: names, isQuick }: BenchOptions): (link: Link) => BootCase[] {
  if (isQuick) {
    const [usual, once] = [casesOf(quickCases), casesOf(quickCasesOnce)];
    return (link) => (linkText(link) === linkText(quickLinkOnce) ? [...usual, ...once] : usual);
  }
  const chosen = names ? casesOf(names) : cases;
  return () => chosen;
}

function casesOf(names: readonly string[]): BootCase[] {
  return names.map((name) => {
    const found = cases.find((each) => each.name === name);
    if (!found) throw new Error(`there is no case ${name}; there are ${cases.map((each) => each.name).join(", ")}`);
    return found;
  });
}

async function measure(
  bootCase: BootCase,
  link: Link,
  disk: BenchDisk,
  options: BenchOptions,
  accel: Accelerator,
): Promise<BootResult> {
  const { nodes, processors } = options;
  await using scene = await makeScene(link, disk, options);
  await using started = await bootCase.start(scene, scene.lab.plan.nodes);
  const ticks = machineTicks();
  const requestsBefore = await started.linkRequests?.();
  const boots = await Promise.all(
    scene.lab.plan.nodes.map((host) => bootOn(scene, started, host, { processors, accel })),
  );
  const machine = cpuBetween(ticks, machineTicks());
  const requests = await started.linkRequests?.();
  return {
    case: bootCase.name,
    ...(started.served ? { agentSettings: options.agentSettings } : {}),
    link,
    nodes,
    processors,
    seconds: boots.map((boot) => boot.seconds),
    attachSeconds: boots.map((boot) => boot.attachSeconds),
    receivedBytes: boots.map((boot) => boot.receivedBytes),
    guestReads: boots.map((boot) => boot.guestReads),
    guestReadBytes: boots.map((boot) => boot.guestReadBytes),
    vmCpuSeconds: boots.map((boot) => boot.vmCpuSeconds),
    ...(requests === undefined ? {} : { linkRequests: requests - (requestsBefore ?? 0) }),
    ...(started.served ? { served: boots.flatMap((boot) => boot.served ?? []) } : {}),
    ...(started.daemonsCpu ? { daemonsCpu: boots.flatMap((boot) => boot.daemonsCpu ?? []) } : {}),
    machineIdlePercent: (100 * machine.idleSeconds) / machine.seconds,
  };
}

async function bootOn(
  scene: Scene,
  started: StartedCase,
  host: LabHost,
  machine: Pick<VmOptions, "processors" | "accel">,
) {
  const receivedBefore = receivedBytes(host);
  const cpuBefore = started.daemonsCpu?.(host);
  const startMs = performance.now();
  const backing = await started.attach(host);
  const attachSeconds = (performance.now() - startMs) / 1_000;
  let seconds = Number.NaN;
  let received = Number.NaN;
  let daemonsCpu: DaemonsCpu | undefined;
  const { directory, disk } = scene;
  const options = { directory, sizeBytes: disk.sizeBytes, ...machine };
  const figures = await bootToReady(`vm-${host.name}`, backing, options, () => {
    seconds = (performance.now() - startMs) / 1_000;
    received = receivedBytes(host) - receivedBefore;
    const now = started.daemonsCpu?.(host);
    if (!now || !cpuBefore) return;
    const { agentSeconds, seederSeconds } = cpuBefore;
    daemonsCpu = {
      agentSeconds: rounded(now.agentSeconds - agentSeconds),
      seederSeconds: rounded(now.seederSeconds - seederSeconds),
    };
  });
  const served = await started.served?.(host);
  return { seconds, attachSeconds, receivedBytes: received, served, daemonsCpu, ...figures };
}
