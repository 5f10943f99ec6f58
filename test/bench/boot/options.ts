/** The command line of bench:boot. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Link } from "./scene.ts";

export const usage = `npm run bench:boot [-- OPTIONS]: the time until a Debian VM is up, by way of getting at its disk

Each round runs every case once over every link. Results are written after each boot; with --append, to those of a file that
is there, so that a long measurement can be made in parts.

  --quick            one round of local, profile and boot-image over 50, 50+20, 20 and 200 Mbit/s, and of cold, download and
                     nbdkit-curl over 50: some twelve minutes on a quiet machine with two cores
  --cases LIST       of local, download, nbdkit-curl, nbdkit-torrent, cold, profile, boot-image (all)
  --links LIST       Mbit/s each way, and after a + the milliseconds added to every answer (20,50,200,50+20)
  --rounds N         (3)
  --processors N     of the VM (2). One leaves a core of two to the daemons, as a hypervisor with cores to spare does
  --nodes N          VMs that start at the same time, each on a node of its own; the seeder's link is shared (1)
  --disk DIR         where the disk is kept from one run to the next (${join(tmpdir(), "bootswarm-bench-boot")})
  --directory DIR    where the nodes' files are for as long as the bench runs (${tmpdir()})
  --set KEY=VALUE    a setting for every agent; may be repeated
  --out FILE         write the results as JSON, and a plot beside it
  --append           add to FILE's results
  --keep-logs DIR    keep what the daemons say
`;

/** What --quick measures, and what it measures over one link only. */
export const quickCases = ["local", "profile", "boot-image"];
export const quickCasesOnce = ["cold", "download", "nbdkit-curl"];
export const quickLinkOnce: Link = { megabitsPerSecond: 50, delayMs: 0 };
const quickLinks = "50,50+20,20,200";

export type BenchOptions = ReturnType<typeof optionsFrom>;

/** @throws Error for what makes no sense. */
export function optionsFrom(args: string[]) {
  const text = (value: string) => ({ type: "string", default: value }) as const;
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean", default: false },
      cases: { type: "string" },
      links: { type: "string" },
      rounds: { type: "string" },
      nodes: text("1"),
      processors: text("2"),
      disk: text(join(tmpdir(), "bootswarm-bench-boot")),
      directory: text(tmpdir()),
      set: { type: "string", multiple: true, default: [] },
      out: { type: "string" },
      append: { type: "boolean", default: false },
      "keep-logs": { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.quick && values.cases !== undefined) throw new Error("--quick says which cases; leave --cases away");
  return {
    help: values.help ?? false,
    isQuick: values.quick,
    cases: values.cases?.split(","),
    links: (values.links ?? (values.quick ? quickLinks : "20,50,200,50+20")).split(",").map(linkFrom),
    rounds: numberFrom("rounds", values.rounds ?? (values.quick ? "1" : "3")),
    nodes: numberFrom("nodes", values.nodes),
    processors: numberFrom("processors", values.processors),
    diskDirectory: values.disk,
    directory: values.directory,
    agentSettings: values.set,
    out: values.out,
    append: values.append,
    logDirectory: values["keep-logs"],
  };
}

function linkFrom(text: string): Link {
  const [rate = "", delay] = text.split("+");
  return {
    megabitsPerSecond: numberFrom("links", rate),
    delayMs: delay === undefined ? 0 : numberFrom("links", delay),
  };
}

function numberFrom(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} ${text}: write a number above 0`);
  return value;
}
