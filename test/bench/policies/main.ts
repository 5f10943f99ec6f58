/** npm run bench:policies: boots of several VMs from a slow disk, policy beside policy. See options.ts. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { requireTool, run } from "../../fixtures/tools.ts";
import { accelerator } from "../boot/vm.ts";
import { exitOnSignals } from "../interruption.ts";
import { LabProcess } from "../swarm/lab-process.ts";
import { type BenchImage, benchImage, makeBootImage } from "./image.ts";
import { type BenchOptions, optionsFrom, usage } from "./options.ts";
import { Report } from "./report.ts";
import type { PolicyResult } from "./results.ts";
import { forget, ThrottledDisk } from "./throttle.ts";
import { variantFigures } from "./variants.ts";
import type { HostJob, HostResult, Policy } from "./vm-host.ts";

const hostProgram = join(import.meta.dirname, "vm-host.ts");

exitOnSignals();
try {
  const options = optionsFrom(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
  process.exit(0);
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench:policies: ${(error as Error).message}`);
  process.exit(1);
}

/** One host's files on the slow disk. */
interface Bench {
  options: BenchOptions;
  disk: ThrottledDisk;
  image: BenchImage;
  /** A copy of the image and its boot image for each VM: files that are not the same for the page cache. */
  copies: HostJob["vms"];
  noisePath: string;
}

interface Scenario {
  policy: Policy;
  images: "same" | "distinct";
  vms: number;
  noise: number;
}

async function bench(options: BenchOptions): Promise<void> {
  const accel = accelerator();
  const image = await benchImage(options.diskDirectory, "debian", accel);
  const report = Report.open(options, image);
  if (options.variants) report.setImages(await variantFigures(options.diskDirectory, accel));
  const directory = mkdtempSync(join(options.diskDirectory, "policies-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  using disk = new ThrottledDisk(options.diskDirectory, options.limits);
  const vmsMax = Math.max(1, ...options.vms);
  const bootImagePath = join(directory, "debian.boot");
  await makeBootImage(image, bootImagePath);
  const copies: HostJob["vms"] = [];
  for (let number = 1; number <= vmsMax; number++) {
    const copy = { rawPath: join(directory, `${number}.raw`), bootImagePath: join(directory, `${number}.boot`) };
    await run("cp", ["--sparse=always", image.rawPath, copy.rawPath]);
    await run("cp", [bootImagePath, copy.bootImagePath]);
    copies.push(copy);
  }
  const noisePath = join(directory, "noise");
  await run("cp", ["--sparse=always", image.rawPath, noisePath]);
  // What is not on the disk yet cannot be forgotten.
  await run("sync", []);
  for (let round = 1; round <= options.rounds; round++) {
    for (const scenario of scenariosOf(options)) {
      report.add(await measure({ options, disk, image, copies, noisePath }, scenario));
    }
  }
  report.print();
}

function scenariosOf({ policies, images, vms, noise }: BenchOptions): Scenario[] {
  const numbers = images.flatMap((each) =>
    // One VM has one image.
    vms.filter((count) => each === "same" || count > 1).map((count) => ({ images: each, vms: count, noise: 0 })),
  );
  const noisy = noise.filter((count) => count > 0).map((count) => ({ images: "same" as const, vms: 1, noise: count }));
  return [...numbers, ...noisy].flatMap((scenario) => policies.map((policy) => ({ policy, ...scenario })));
}

async function measure({ options, disk, image, copies, noisePath }: Bench, scenario: Scenario): Promise<PolicyResult> {
  const vms = Array.from({ length: scenario.vms }, (_, index) => copies[scenario.images === "same" ? 0 : index]!);
  forget(vms.flatMap(({ rawPath, bootImagePath }) => [rawPath, bootImagePath]));
  const { reads, guestSeconds } = image.trace;
  const job: HostJob = {
    policy: scenario.policy,
    vms,
    trace: { reads, guestSeconds },
    guestSeconds: options.guestSeconds,
  };
  const noise = scenario.noise > 0 ? await startNoise(disk, noisePath, scenario.noise) : undefined;
  try {
    const host = new LabProcess("host", disk.command(["env", "UV_THREADPOOL_SIZE=32", process.execPath, hostProgram]));
    const before = disk.read();
    host.write(job);
    const { vmSeconds } = await host.says<HostResult>("vmSeconds");
    await host.done();
    const after = disk.read();
    return { ...scenario, vmSeconds, diskBytes: after.bytes - before.bytes, diskReads: after.reads - before.reads };
  } finally {
    await noise?.kill();
  }
}

/** Neighbours: each reads 64 KiB somewhere, past the page cache, again and again. */
async function startNoise(disk: ThrottledDisk, path: string, jobs: number): Promise<LabProcess> {
  requireTool("fio");
  const options = ["--rw=randread", "--bs=64k", "--direct=1", "--ioengine=psync", "--time_based", "--runtime=3600"];
  const sharing = ["--readonly", "--thread", `--numjobs=${jobs}`, "--eta=never"];
  const before = disk.read();
  const noise = new LabProcess(
    "noise",
    disk.command(["fio", "--name=noise", `--filename=${path}`, ...options, ...sharing]),
  );
  while (disk.read().reads < before.reads + jobs) {
    if (noise.child.exitCode !== null) throw noise.failure("ended");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return noise;
}
