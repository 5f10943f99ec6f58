/** A wire with a delay, for kernels without netem: put between the lab's bridge and the seeder's port of it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { python, toolEnv } from "../../fixtures/tools.ts";
import type { Lab } from "../swarm/lab.ts";
import { bridgeOf } from "../swarm/lab-plan.ts";
import { LabProcess } from "../swarm/lab-process.ts";

const program = join(import.meta.dirname, "delayed-wire.py");
const near = "wire-near";
const far = "wire-far";

/** From now on all that the seeder sends arrives that much later, in order. The wire goes with the lab. */
export async function delayedWire(lab: Lab, delayMs: number): Promise<void> {
  const { hub, seeder } = lab.plan;
  const lines = [
    `link add ${near} type veth peer name ${far}`,
    `link set ${seeder.port} nomaster`,
    `link set ${far} master ${bridgeOf(seeder.zone)} up`,
    `link set ${near} up`,
  ];
  execFileSync("ip", ["-n", hub, "-batch", "-"], { env: toolEnv, input: lines.join("\n") });
  const command = [python, program, seeder.port, near, String(delayMs)];
  const wire = new LabProcess("delayed wire", ["nsenter", `--net=/run/netns/${hub}`, "--", ...command]);
  await wire.says("relaying");
}
