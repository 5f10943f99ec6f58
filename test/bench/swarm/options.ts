/** The command line of bench:swarm. */
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

export const usage = `Usage: npm run bench:swarm -- [options]        (as root)

Images from one seeder to many nodes, each in a network namespace with a link of its own.

  --preset targets    8 images of 20 MB, one of 100 MB, one of 20 MB
  --preset table1     1, 2, 4 and 8 images of 20 MB: 1x192, 2x96, 4x48 and 8x24 VM requests on 24 nodes
  --scenarios LIST    images x MB each, as in 8x20,1x100
  --images N          images of the one scenario, without --preset and --scenarios (8)
  --image-mb N        size of its images, in MB of 10^6 bytes (20)
  --nodes N           (24)
  --link-mbit N       rate of each link, each way (40)
  --zones N           1, or 2 with a link between them (1)
  --zone-link-mbit N  rate of that link, each way (40)
  --sysctl KEY=VALUE  a kernel setting of every namespace, below net.ipv4; may be repeated: tcp_congestion_control=reno,
                      tcp_min_tso_segs=16 (fewer, larger segments: less work for the kernel)
  --contenders LIST   of bootswarm, unzoned (the same, told of no zones), http, libtorrent (bootswarm,http,libtorrent)
  --rounds N          each contender in turn, so many times (1)
  --set KEY=VALUE     a setting for every agent; may be repeated
  --seeder-set KEY=VALUE  the same for the seeder: origin.fallbackBytesPerSecond=2500000
  --no-dht            the DHT and the seeder's peer port are out of everybody's reach: what is left is HTTP, in the origin's
                      budget, and what nodes trade among themselves
  --checkout DIR      the checkout of bootswarm to run (this one)
  --warm-up-mb N      an image that every agent fetches before the clock starts, as one that has run for a while has
                      (0: none). Two dozen cold processes share a few cores here, and each compiles its own code.
  --nice N            priority of everything that is run, as of nice(1): below 0 ahead of what else the machine does (0)
  --timeout-s N       longest that one run may take (60 s and three times what plain HTTP needs)
  --directory DIR     where the nodes' files are for as long as the bench runs (${tmpdir()})
  --keep-logs DIR     keep what every process says
  --out FILE          write the results as JSON, and plots beside it
  --append            add to FILE's results, which are of the same lab: other contenders, more rounds
`;

export interface Scenario {
  images: number;
  imageBytes: number;
}

const presets: Record<string, string> = { targets: "8x20,1x100,1x20", table1: "1x20,2x20,4x20,8x20" };

export type BenchOptions = ReturnType<typeof optionsFrom>;

/** @throws Error for what makes no sense. */
export function optionsFrom(args: string[]) {
  const text = (value: string) => ({ type: "string", default: value }) as const;
  const { values } = parseArgs({
    args,
    options: {
      preset: { type: "string" },
      scenarios: { type: "string" },
      images: text("8"),
      "image-mb": text("20"),
      nodes: text("24"),
      "link-mbit": text("40"),
      zones: text("1"),
      "zone-link-mbit": text("40"),
      contenders: text("bootswarm,http,libtorrent"),
      rounds: text("1"),
      sysctl: { type: "string", multiple: true, default: [] },
      set: { type: "string", multiple: true, default: [] },
      "seeder-set": { type: "string", multiple: true, default: [] },
      "no-dht": { type: "boolean", default: false },
      checkout: text(join(import.meta.dirname, "../../..")),
      "warm-up-mb": text("0"),
      nice: text("0"),
      "timeout-s": { type: "string" },
      directory: text(tmpdir()),
      "keep-logs": { type: "string" },
      out: { type: "string" },
      append: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  const zones = numberFrom("zones", values.zones);
  if (zones !== 1 && zones !== 2) throw new Error(`--zones ${zones}: write 1 or 2`);
  return {
    help: values.help ?? false,
    scenarios: scenariosFrom(values),
    nodes: numberFrom("nodes", values.nodes),
    linkBitsPerSecond: numberFrom("link-mbit", values["link-mbit"]) * 1e6,
    zones: zones as 1 | 2,
    zoneLinkBitsPerSecond: numberFrom("zone-link-mbit", values["zone-link-mbit"]) * 1e6,
    sysctls: values.sysctl,
    contenders: values.contenders.split(","),
    rounds: numberFrom("rounds", values.rounds),
    agentSettings: values.set,
    seederSettings: values["seeder-set"],
    noDht: values["no-dht"],
    checkout: resolve(values.checkout),
    warmUpBytes: values["warm-up-mb"] === "0" ? 0 : numberFrom("warm-up-mb", values["warm-up-mb"]) * 1e6,
    nice: niceFrom(values.nice),
    timeoutSeconds: values["timeout-s"] === undefined ? undefined : numberFrom("timeout-s", values["timeout-s"]),
    directory: values.directory,
    logDirectory: values["keep-logs"],
    out: values.out,
    append: values.append,
  };
}

function scenariosFrom(values: {
  preset?: string;
  scenarios?: string;
  images: string;
  "image-mb": string;
}): Scenario[] {
  const preset = values.preset === undefined ? undefined : presets[values.preset];
  if (values.preset !== undefined && preset === undefined) {
    throw new Error(`--preset ${values.preset}: there are ${Object.keys(presets).join(" and ")}`);
  }
  const list = values.scenarios ?? preset ?? `${values.images}x${values["image-mb"]}`;
  return list.split(",").map((item) => {
    const [images = "", megabytes = ""] = item.split("x");
    return { images: numberFrom("scenarios", images), imageBytes: numberFrom("scenarios", megabytes) * 1e6 };
  });
}

function niceFrom(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < -20 || value > 19) throw new Error(`--nice ${text}: write -20 to 19`);
  return value;
}

function numberFrom(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} ${text}: write a number above 0`);
  return value;
}
