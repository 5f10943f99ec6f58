/** The command line of bench:scheduling. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { fromJsonString } from "@bufbuild/protobuf";
import { WeighOptionsSchema } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { type Scale, type Scenario, scenariosFor, triedScenario } from "./scenarios.ts";
import { timeScaleOf } from "./time-scale.ts";

/** In place of what is not given, with --quick. */
const quick: Record<string, string> = { seeds: "1", hours: "0.5", "image-mb": "10" };

const paperScale: Scale = { timeScale: 1, linkBitsPerSecond: 1e9 };

export const usage = `Usage: npm run bench:scheduling -- [options]        (as root)

VMs that come one by one to a cloud of nodes in network namespaces: how long each waits for its image, by how images
travel and how hosts are chosen. The same traces for all.

  --quick             one trace of half an hour at each rate, images of 10 MB
  --scenarios LIST    of ${scenariosFor(paperScale).map(({ key }) => key)} (all)
  --try LABEL=JSON    the in-flight-aware scenario with other weights besides: even=
                      '{"spreadMultiplier":4}'; may be repeated. Fields are those of WeighOptions
  --rates LIST        VMs an hour (80,100)
  --hours N           how long each trace lasts, of the paper's hours (1)
  --seeds N           traces of each rate (2)
  --first-seed N      (1)
  --burst N           VMs of one image that are asked for at the same moment, bursts being as much rarer (1)
  --images N          (4)
  --image-mb N        their size, in MB of 10^6 bytes (20)
  --nodes N           (24)
  --link-mbit N       rate of each link, each way (40)
  --vms-per-host N    VMs for which a host has room (8)
  --life-minutes N    mean of how long VMs live, exponentially, of the paper's minutes; 0: to the end of the trace (0)
  --cache-images N    images for which a node's cache has room; 0: all (0)
  --side-by-side N    scenarios that run at the same time, each in a lab of its own (6)
  --set KEY=VALUE     a setting for every agent; may be repeated
  --seeder-set KEY=VALUE  the same for the seeder
  --nice N            priority of everything that is run, as of nice(1) (0)
  --directory DIR     where the nodes' files are for as long as the bench runs (${tmpdir()})
  --keep-logs DIR     keep what every process says
  --out FILE          write the results as JSON, and plots beside it
`;

export type BenchOptions = ReturnType<typeof optionsFrom>;

/** @throws Error for what makes no sense. */
export function optionsFrom(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean", default: false },
      scenarios: { type: "string" },
      try: { type: "string", multiple: true, default: [] },
      rates: { type: "string", default: "80,100" },
      hours: { type: "string" },
      seeds: { type: "string" },
      "first-seed": { type: "string", default: "1" },
      burst: { type: "string", default: "1" },
      images: { type: "string", default: "4" },
      "image-mb": { type: "string" },
      nodes: { type: "string", default: "24" },
      "link-mbit": { type: "string", default: "40" },
      "vms-per-host": { type: "string", default: "8" },
      "life-minutes": { type: "string", default: "0" },
      "cache-images": { type: "string", default: "0" },
      "side-by-side": { type: "string", default: "6" },
      set: { type: "string", multiple: true, default: [] },
      "seeder-set": { type: "string", multiple: true, default: [] },
      nice: { type: "string", default: "0" },
      directory: { type: "string", default: tmpdir() },
      "keep-logs": { type: "string" },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const scaled = (name: "hours" | "seeds" | "image-mb", usual: string) =>
    positive(name, values[name] ?? (values.quick ? quick[name]! : usual));
  const imageBytes = scaled("image-mb", "20") * 1e6;
  const linkBitsPerSecond = positive("link-mbit", values["link-mbit"]) * 1e6;
  const timeScale = timeScaleOf(imageBytes, linkBitsPerSecond);
  const scale = { timeScale, linkBitsPerSecond };
  const tried = values.try.map((text) => triedFrom(text, scale));
  return {
    help: values.help,
    scenarios: [...chosenFrom(values.scenarios, scale, tried.length > 0), ...tried],
    rates: values.rates.split(",").map((text) => positive("rates", text)),
    hours: scaled("hours", "1"),
    seeds: whole("seeds", scaled("seeds", "2")),
    firstSeed: whole("first-seed", Number(values["first-seed"])),
    burst: whole("burst", positive("burst", values.burst)),
    images: whole("images", positive("images", values.images)),
    imageBytes,
    nodes: whole("nodes", positive("nodes", values.nodes)),
    linkBitsPerSecond,
    timeScale,
    vmsPerHostMax: whole("vms-per-host", positive("vms-per-host", values["vms-per-host"])),
    meanLifeMinutes: Number(values["life-minutes"]),
    cacheImages: whole("cache-images", Number(values["cache-images"])),
    sideBySide: whole("side-by-side", positive("side-by-side", values["side-by-side"])),
    agentSettings: values.set,
    seederSettings: values["seeder-set"],
    nice: whole("nice", Number(values.nice)),
    directory: values.directory,
    logDirectory: values["keep-logs"],
    out: values.out,
  };
}

/** What is tried without a list of scenarios is tried alone. */
function chosenFrom(list: string | undefined, scale: Scale, isTried: boolean): Scenario[] {
  const all = scenariosFor(scale);
  if (list === undefined) return isTried ? [] : all;
  return list.split(",").map((key) => {
    const scenario = all.find((each) => each.key === key);
    if (!scenario) throw new Error(`--scenarios ${key}: there are ${all.map((each) => each.key).join(", ")}`);
    return scenario;
  });
}

function triedFrom(text: string, scale: Scale): Scenario {
  const [label = "", json = ""] = text.split(/=(.*)/s);
  try {
    return triedScenario(label, fromJsonString(WeighOptionsSchema, json), scale);
  } catch (error) {
    throw new Error(`--try ${text}: write LABEL=JSON, as in even={"spreadMultiplier":4}`, { cause: error });
  }
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} ${text}: write a number above 0`);
  return value;
}

function whole(name: string, value: number): number {
  if (!Number.isInteger(value)) throw new Error(`--${name} ${value}: write a whole number`);
  return value;
}
