/** What the benchmark compares: ways for a VM on a node to get at its disk. */
import type { LabHost } from "../swarm/lab-plan.ts";
import type { Scene } from "./scene.ts";

/** What a VM's overlay is put on, as `qemu-img create -b` takes it. */
export interface Backing {
  uri: string;
  format: "raw" | "qcow2";
}

export interface ServedBytes {
  bootImageBytes: number;
  fileBytes: number;
  /** What the VM had to wait for. */
  demandBytes: number;
}

export interface DaemonsCpu {
  agentSeconds: number;
  seederSeconds: number;
}

export interface BootCase {
  /** What it is called on the command line and in results. */
  name: string;
  title: string;
  /** Brings servers and daemons up to the point at which a VM may be asked for; none of this is timed. */
  start(scene: Scene, hosts: LabHost[]): Promise<StartedCase>;
}

export interface StartedCase extends AsyncDisposable {
  /** From the wish for a VM on a host to a disk that QEMU can open: timed with the boot. */
  attach(host: LabHost): Promise<Backing>;
  /** Requests that have gone to the image's server, where that counts them. */
  linkRequests?(): Promise<number>;
  /** Where a host's agent took what its VM has read. */
  served?(host: LabHost): Promise<ServedBytes>;
  /** CPU time so far of a host's agent, and of the seeder. */
  daemonsCpu?(host: LabHost): DaemonsCpu;
}
