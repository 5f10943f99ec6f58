/**
 * The lab: machines as network namespaces with links of a given rate, on bridges in one more namespace; the host's own
 * network is not touched. Processes in it are reached by Unix sockets and pipes, so nothing but what is measured
 * travels through the links.
 *
 * Whatever happens short of SIGKILL, it is gone when this process is: the end of the process takes it down, waiting for nothing.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { requireTool, toolEnv } from "../../fixtures/tools.ts";
import {
  bridgeOf,
  type LabHost,
  type LabOptions,
  type LabPlan,
  labPrefix,
  labsLeftBehind,
  planLab,
  zonePort,
} from "./lab-plan.ts";

/** Bytes that tbf lets through at once: room for one large segment of the sender, so that none has to be split. */
const burst = "64kb";
/** What tbf queues before it drops. Enough for a TCP stream to fill the link, little enough for requests not to wait long. */
const queueMs = 50;
/** How long processes that were killed may take to be gone. */
const killTimeoutMs = 10_000;

export class Lab {
  readonly plan: LabPlan;
  private readonly takeDown = () => takeDownLab(this.plan.prefix);

  private constructor(plan: LabPlan) {
    this.plan = plan;
    process.once("exit", this.takeDown);
  }

  /**
   * Makes the lab.
   *
   * @param name lower-case letters that tell it from other labs of this process
   * @throws Error saying what is missing: root, or a Debian package.
   */
  static make(options: LabOptions, name = ""): Lab {
    requireTools();
    const lab = new Lab(planLab(labPrefix(process.pid, name), options));
    makeLab(lab.plan, options);
    return lab;
  }

  /** Takes down labs whose process has ended by SIGKILL, with what still runs in them. */
  static takeDownLeftBehind(): void {
    requireTools();
    for (const prefix of labsLeftBehind(namespaces(), isAlive)) {
      console.error(`taking down the lab ${prefix}, whose process has been killed`);
      takeDownLab(prefix);
    }
  }

  /** The command line that runs a command on a host. */
  commandOn(host: LabHost, command: string[]): string[] {
    return ["nsenter", `--net=/run/netns/${host.namespace}`, "--", ...command];
  }

  /** What the lab's TCP uses; the host's default unless set otherwise. */
  congestionControl(): string {
    const [command, ...args] = this.commandOn(this.plan.seeder, ["cat", "/proc/sys/net/ipv4/tcp_congestion_control"]);
    return execFileSync(command as string, args, { env: toolEnv, encoding: "utf8" }).trim();
  }

  /** Bytes that have crossed the link between two zones, both ways; 0 with one zone. */
  zoneLinkBytes(): number {
    if (this.plan.zones.length < 2) return 0;
    const text = ip(["-n", this.plan.hub, "-s", "-j", "link", "show", "dev", zonePort("a")]);
    const [link] = JSON.parse(text) as { stats64: Record<"rx" | "tx", { bytes: number }> }[];
    return link ? link.stats64.rx.bytes + link.stats64.tx.bytes : 0;
  }

  [Symbol.dispose](): void {
    process.removeListener("exit", this.takeDown);
    this.takeDown();
  }
}

function requireTools(): void {
  if (process.platform !== "linux") throw new Error("the lab is made of Linux network namespaces: run it on Linux");
  if (process.getuid?.() !== 0) throw new Error("network namespaces need root: run this as root");
  for (const command of ["ip", "tc", "nsenter"] as const) requireTool(command);
}

function makeLab(plan: LabPlan, options: LabOptions): void {
  const hosts = [plan.seeder, ...plan.nodes];
  ipBatch(
    [],
    [plan.hub, ...hosts.map((host) => host.namespace)].map((name) => `netns add ${name}`),
  );
  const hub = plan.zones.flatMap((zone) => [
    `link add ${bridgeOf(zone)} type bridge mcast_snooping 0`,
    `link set ${bridgeOf(zone)} up`,
  ]);
  if (plan.zones.length === 2) hub.push(`link add ${zonePort("a")} type veth peer name ${zonePort("b")}`);
  for (const zone of plan.zones.length === 2 ? plan.zones : []) {
    hub.push(`link set ${zonePort(zone)} master ${bridgeOf(zone)} up`);
  }
  for (const { port, device, namespace, zone } of hosts) {
    hub.push(`link add ${port} type veth peer name ${device} netns ${namespace}`);
    hub.push(`link set ${port} master ${bridgeOf(zone)} up`);
  }
  ipBatch(["-n", plan.hub], hub);
  for (const { namespace, device, address } of hosts) {
    for (const setting of options.sysctls) setSysctl(namespace, setting);
    const up = ["link set lo up", `link set ${device} up`, `addr add ${address}/16 dev ${device}`];
    ipBatch(["-n", namespace], up);
    shape(namespace, [device], options.linkBitsPerSecond);
  }
  const ports = hosts.map((host) => host.port);
  shape(plan.hub, ports, options.linkBitsPerSecond);
  if (plan.zones.length === 2) shape(plan.hub, plan.zones.map(zonePort), options.zoneLinkBitsPerSecond);
}

/** @throws Error if the kernel does not take it: a namespace is not allowed all that the host is. */
function setSysctl(namespace: string, setting: string): void {
  const [key = "", value = ""] = setting.split("=");
  const write = `printf %s "$1" > "/proc/sys/net/ipv4/$0"`;
  try {
    execFileSync("nsenter", [`--net=/run/netns/${namespace}`, "--", "sh", "-c", write, key, value], {
      env: toolEnv,
      stdio: "pipe",
    });
  } catch (error) {
    throw new Error(`--sysctl ${setting}: the kernel does not allow that in a network namespace`, { cause: error });
  }
}

/** Bounds what the devices send. */
function shape(namespace: string, devices: string[], bitsPerSecond: number): void {
  const lines = devices.map(
    (device) => `qdisc add dev ${device} root tbf rate ${bitsPerSecond}bit burst ${burst} latency ${queueMs}ms`,
  );
  execFileSync("tc", ["-n", namespace, "-batch", "-"], { env: toolEnv, input: lines.join("\n") });
}

function ipBatch(options: string[], lines: string[]): void {
  execFileSync("ip", [...options, "-batch", "-"], { env: toolEnv, input: lines.join("\n") });
}

function ip(args: string[]): string {
  return execFileSync("ip", args, { env: toolEnv, encoding: "utf8" });
}

/** Kills what runs in the lab's namespaces, and removes them; their links go with them. */
function takeDownLab(prefix: string): void {
  const names = namespaces().filter((name) => name.startsWith(`${prefix}-`));
  const deadlineMs = performance.now() + killTimeoutMs;
  let pids = names.flatMap(pidsIn);
  for (const pid of pids) kill(pid);
  while (pids.length > 0 && performance.now() < deadlineMs) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    pids = pids.filter(isAlive);
  }
  ipBatch(
    [],
    names.map((name) => `netns del ${name}`),
  );
  if (pids.length > 0) console.error(`the lab: could not end the processes ${pids.join(", ")}`);
}

function namespaces(): string[] {
  return ip(["netns", "list"])
    .split("\n")
    .map((line) => line.split(" ")[0] as string);
}

function pidsIn(namespace: string): number[] {
  return ip(["netns", "pids", namespace]).split("\n").filter(Boolean).map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

/** A killed child of ours stays as a zombie until the event loop runs again; it holds nothing. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return false;
  }
}
