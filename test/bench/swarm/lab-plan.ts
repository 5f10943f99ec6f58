/**
 * What the lab is made of: a bridge per zone in a namespace of its own, and for each machine a namespace, an address and
 * a veth link to its zone's bridge. Pure: `lab.ts` makes it so.
 */

/** Hosts an address is made for: the lab's network is a /16. */
const hostsMax = 60_000;
/** Interface names have 15 characters at most; these are "link-00000" and "br-a". */
const uplink = "eth0";

export interface LabOptions {
  nodes: number;
  linkBitsPerSecond: number;
  /** One bridge, or two with a link between them. The seeder is in the first zone, the nodes are halved. */
  zones: 1 | 2;
  /** Rate of the link between two zones, each way. */
  zoneLinkBitsPerSecond: number;
  /** Kernel settings of every namespace, below net.ipv4, as in "tcp_congestion_control=reno". */
  sysctls: string[];
}

export interface LabHost {
  /** "seeder" or "node-01". */
  name: string;
  namespace: string;
  address: string;
  /** "a" or "b". */
  zone: string;
  /** The host's interface, and the bridge's port that it leads to. */
  device: string;
  port: string;
}

export interface LabPlan {
  /** Namespaces of this lab start so, and no others do. */
  prefix: string;
  /** The namespace with the bridges. */
  hub: string;
  seeder: LabHost;
  nodes: LabHost[];
  zones: string[];
}

/** Where the bridges' joining link ends, by zone. */
export function zonePort(zone: string): string {
  return `zone-${zone}`;
}

export function bridgeOf(zone: string): string {
  return `br-${zone}`;
}

/** What the namespaces' names of a process's lab begin with. */
export function labPrefix(pid: number, name: string): string {
  return `bootswarm-${pid}${name}`;
}

/** Prefixes of the labs whose process is no more. A pid that is in use again keeps its lab: better that than another's end. */
export function labsLeftBehind(namespaces: readonly string[], isAlive: (pid: number) => boolean): string[] {
  const prefixes = namespaces.flatMap((name) => {
    const match = /^(bootswarm-(\d+)[a-z]*)-/.exec(name);
    return match && !isAlive(Number(match[2])) ? [match[1] as string] : [];
  });
  return [...new Set(prefixes)];
}

/** Lays out a lab. */
export function planLab(prefix: string, options: LabOptions): LabPlan {
  if (options.nodes < 1 || options.nodes > hostsMax) throw new Error(`a lab has 1 to ${hostsMax} nodes`);
  const zones = options.zones === 2 ? ["a", "b"] : ["a"];
  const host = (name: string, index: number, zone: string): LabHost => ({
    name,
    namespace: `${prefix}-${name}`,
    address: `10.77.${Math.floor(index / 250)}.${(index % 250) + 1}`,
    zone,
    device: uplink,
    port: `link-${index}`,
  });
  const digits = String(options.nodes).length;
  const nodes = Array.from({ length: options.nodes }, (_, index) => {
    const zone = zones.length === 2 && index >= options.nodes / 2 ? "b" : "a";
    return host(`node-${String(index + 1).padStart(digits, "0")}`, index + 1, zone);
  });
  return { prefix, hub: `${prefix}-hub`, seeder: host("seeder", 0, "a"), nodes, zones };
}
