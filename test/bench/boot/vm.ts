/** A VM that boots as a real one does, through its disk's boot loader, until its console says that it is ready. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { readyMarker } from "../../fixtures/debian-disk.ts";
import { requireTool, run, toolEnv } from "../../fixtures/tools.ts";
import { endWithProcess } from "../interruption.ts";
import { usageOf } from "../process-usage.ts";
import { LabProcess } from "../swarm/lab-process.ts";
import type { Backing } from "./case.ts";

/** A core of its own boots the guest in 20 s; four share two, over a slow link. */
const bootTimeoutMs = 600_000;

export type Accelerator = "kvm" | "tcg";

export interface VmOptions {
  /** For the overlay and a socket. */
  directory: string;
  /** The disk's size. */
  sizeBytes: number;
  /** Of the guest. */
  processors: number;
  accel: Accelerator;
}

export interface BootFigures {
  /** What the VM asked of its disk. */
  guestReads: number;
  guestReadBytes: number;
  /** CPU time of QEMU until the READY line. */
  vmCpuSeconds: number;
}

/** A boot sector that ends QEMU: `mov al, 1; out 0xf4, al; hlt`. */
const endingBootSector = Buffer.concat([
  Buffer.from("b001e6f4f4", "hex"),
  Buffer.alloc(505),
  Buffer.from("55aa", "hex"),
]);
/** What QEMU's isa-debug-exit makes of that 1. */
const endedStatus = 3;
const probeTimeoutMs = 20_000;

/** KVM where it is quicker than emulation: nested in software it may be many times slower, and the device does not say so. */
export function accelerator(): Accelerator {
  requireTool("qemu-system-x86_64");
  const directory = mkdtempSync(join(tmpdir(), "bootswarm-probe-"));
  try {
    const path = join(directory, "sector");
    writeFileSync(path, endingBootSector);
    return probeMs("kvm", path) < probeMs("tcg", path) ? "kvm" : "tcg";
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** How long it takes QEMU to run a boot sector; infinite if it does not. */
function probeMs(accel: Accelerator, sectorPath: string): number {
  const startMs = performance.now();
  const { status } = spawnSync(
    "qemu-system-x86_64",
    [
      ...["-accel", accel, ...(accel === "kvm" ? ["-cpu", "host"] : []), "-m", "64", "-display", "none", "-nodefaults"],
      ...["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive", `file=${sectorPath},format=raw,if=ide`],
    ],
    { env: toolEnv, timeout: probeTimeoutMs, killSignal: "SIGKILL" },
  );
  return status === endedStatus ? performance.now() - startMs : Number.POSITIVE_INFINITY;
}

/**
 * Makes an overlay on `backing`, boots from it, and calls `onReady` at the READY line.
 *
 * @throws Error with the console's last lines if that fails.
 */
export async function bootToReady(
  name: string,
  backing: Backing,
  { directory, sizeBytes, processors, accel }: VmOptions,
  onReady: () => void,
): Promise<BootFigures> {
  const overlay = join(directory, `${name}.overlay.qcow2`);
  const qmpPath = join(directory, `${name}.qmp`);
  // -u: whether the image below is there is for QEMU to find, not for us to look at beforehand.
  const below = ["-u", "-b", backing.uri, "-F", backing.format];
  await run("qemu-img", ["create", "-q", "-f", "qcow2", ...below, overlay, String(sizeBytes)]);
  const processor = accel === "kvm" ? ["kvm", "-cpu", "host"] : ["tcg,thread=multi,tb-size=256", "-cpu", "qemu64"];
  const machine = new LabProcess(name, [
    ...["qemu-system-x86_64", "-accel", ...processor, "-smp", String(processors), "-m", "1024"],
    ...["-drive", `file=${overlay},format=qcow2,if=virtio`, "-qmp", `unix:${qmpPath},server=on,wait=off`],
    ...["-nographic", "-monitor", "none", "-nic", "none", "-no-reboot"],
  ]);
  // It runs in no namespace that goes with the lab: an interrupted benchmark would leave it behind.
  endWithProcess(machine.child);
  try {
    await untilReady(machine);
    onReady();
    const vmCpuSeconds = usageOf(machine.pid).cpuSeconds;
    return { vmCpuSeconds, ...(await readsOf(qmpPath)) };
  } finally {
    await machine.kill();
  }
}

async function untilReady(machine: LabProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const end = (act: () => void) => {
      clearTimeout(timer);
      stop();
      act();
    };
    const timer = setTimeout(() => end(() => reject(machine.failure("is not ready in time"))), bootTimeoutMs);
    const stop = machine.watch((line) => {
      if (line === undefined) end(() => reject(machine.failure("ended")));
      else if (line.includes(readyMarker)) end(resolve);
    });
  });
}

interface BlockStats {
  stats: { rd_operations: number; rd_bytes: number };
}

async function readsOf(qmpPath: string): Promise<Omit<BootFigures, "vmCpuSeconds">> {
  const socket = connect(qmpPath);
  try {
    const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    const say = (execute: string) => socket.write(`${JSON.stringify({ execute })}\n`);
    say("qmp_capabilities");
    say("query-blockstats");
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error("QEMU has closed its QMP connection");
      const answer = (JSON.parse(value) as { return?: BlockStats[] }).return;
      if (!Array.isArray(answer)) continue;
      const total = (figure: keyof BlockStats["stats"]) => answer.reduce((sum, { stats }) => sum + stats[figure], 0);
      return { guestReads: total("rd_operations"), guestReadBytes: total("rd_bytes") };
    }
  } finally {
    socket.destroy();
  }
}
