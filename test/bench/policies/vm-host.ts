/**
 * A host whose VMs boot: `vm-host.ts` takes a job as a line of JSON, replays each VM's boot by reading what a real one
 * read, in order and with the guest's own time in between, and says after how many seconds each was up.
 */
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { BootMemory } from "./boot-memory.ts";
import type { BootTrace } from "./trace.ts";

export const policies = ["all at once", "one, then others", "prefetching", "boot image"] as const;
export type Policy = (typeof policies)[number];

export interface HostJob {
  policy: Policy;
  /** The image of each VM. */
  vms: { rawPath: string; bootImagePath: string }[];
  trace: Pick<BootTrace, "reads" | "guestSeconds">;
  /** What the guest's own time comes to: the recorded one, made longer or shorter. */
  guestSeconds: number;
}

export interface HostResult {
  vmSeconds: number[];
}

/** Timers are no finer: shorter pauses are made up for together. */
const pauseMsMin = 2;
/** What a prefetch asks of the disk at once. */
const prefetchBytes = 1024 * 1024;

/** An image that is there once, however many VMs have it. */
interface SharedImage {
  file: FileHandle;
  memory?: BootMemory;
  prefetched?: Promise<void>;
}

class Host {
  readonly #images = new Map<string, Promise<SharedImage>>();
  readonly #job: HostJob;

  constructor(job: HostJob) {
    this.#job = job;
  }

  async run(): Promise<HostResult> {
    const { policy, vms } = this.#job;
    const startMs = performance.now();
    const vmSeconds: number[] = [];
    const boot = async (index: number) => {
      await this.#boot(vms[index] as HostJob["vms"][number]);
      vmSeconds[index] = (performance.now() - startMs) / 1_000;
    };
    const first = policy === "one, then others" ? 1 : 0;
    if (first > 0) await boot(0);
    await Promise.all(Array.from({ length: vms.length - first }, (_, index) => boot(index + first)));
    return { vmSeconds };
  }

  async #boot(vm: HostJob["vms"][number]): Promise<void> {
    const { trace, guestSeconds } = this.#job;
    let opening = this.#images.get(vm.rawPath);
    if (!opening) {
      opening = this.#open(vm);
      this.#images.set(vm.rawPath, opening);
    }
    const image = await opening;
    await image.prefetched;
    const scale = guestSeconds / trace.guestSeconds;
    const buffer = Buffer.alloc(Math.max(...trace.reads.map(([, length]) => length)));
    let owedMs = 0;
    for (const [offset, length, gapMs] of trace.reads) {
      owedMs += gapMs * scale;
      if (owedMs >= pauseMsMin) {
        const fromMs = performance.now();
        await sleep(owedMs);
        owedMs -= performance.now() - fromMs;
      }
      const target = buffer.subarray(0, length);
      if (!(await image.memory?.read(target, offset))) await image.file.read(target, 0, length, offset);
    }
  }

  async #open({ rawPath, bootImagePath }: HostJob["vms"][number]): Promise<SharedImage> {
    const { policy, trace } = this.#job;
    const file = await open(rawPath);
    if (policy === "boot image") return { file, memory: await BootMemory.open(bootImagePath) };
    if (policy === "prefetching") return { file, prefetched: prefetch(file, trace.reads) };
    return { file };
  }
}

/** Brings what a boot reads into the page cache, in the order of the image's offsets. */
async function prefetch(file: FileHandle, reads: BootTrace["reads"]): Promise<void> {
  const sorted = reads
    .map(([offset, length]) => ({ offset, end: offset + length }))
    .sort((a, b) => a.offset - b.offset);
  const ranges: { offset: number; end: number }[] = [];
  for (const range of sorted) {
    const last = ranges.at(-1);
    if (last && range.offset <= last.end) last.end = Math.max(last.end, range.end);
    else ranges.push({ ...range });
  }
  const buffer = Buffer.alloc(prefetchBytes);
  for (const { offset, end } of ranges) {
    for (let at = offset; at < end; at += prefetchBytes)
      await file.read(buffer, 0, Math.min(prefetchBytes, end - at), at);
  }
}

if (import.meta.main) {
  const [line] = (await once(createInterface({ input: process.stdin }), "line")) as [string];
  console.log(JSON.stringify(await new Host(JSON.parse(line) as HostJob).run()));
  process.exit(0);
}
