/** The command line of bench:policies. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Policy, policies } from "./vm-host.ts";

export const usage = `npm run bench:policies [-- OPTIONS]: how long 1 to 8 VMs of a host take to boot from a slow disk, by policy

A VM is a replay: it reads what a real Debian boot read, in the same order, one read at a time, with the guest's own time in
between. The disk is made slow by a control group (version 1). Needs root.

  --vms LIST         VMs that boot at once (1,2,4,8)
  --images LIST      of same, distinct (same,distinct)
  --noise LIST       neighbours that read the same disk at random while one VM boots (0,1,2,4,8)
  --policies LIST    of ${policies.join("; ")}, by their numbers (1,2,3,4)
  --rounds N         (3)
  --reads N          reads a second that the disk does: a hard disk's (120)
  --megabytes N      MB a second that it reads (100)
  --guest-s N        what the guest's own time comes to in a boot, in seconds (4)
  --variants         make and record the other Debian variants too, for the sizes of their boot images
  --disk DIR         where disks and recordings are kept (${join(tmpdir(), "bootswarm-bench-boot")})
  --out FILE         write the results as JSON, and a plot beside it
  --append           add to FILE's results
`;

export type BenchOptions = ReturnType<typeof optionsFrom>;

/** @throws Error for what makes no sense. */
export function optionsFrom(args: string[]) {
  const text = (value: string) => ({ type: "string", default: value }) as const;
  const { values } = parseArgs({
    args,
    options: {
      vms: text("1,2,4,8"),
      images: text("same,distinct"),
      noise: text("0,1,2,4,8"),
      policies: text("1,2,3,4"),
      rounds: text("3"),
      reads: text("120"),
      megabytes: text("100"),
      "guest-s": text("4"),
      variants: { type: "boolean", default: false },
      disk: text(join(tmpdir(), "bootswarm-bench-boot")),
      out: { type: "string" },
      append: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  return {
    help: values.help ?? false,
    vms: listFrom("vms", values.vms),
    images: values.images.split(",").filter(Boolean).map(imagesFrom),
    noise: listFrom("noise", values.noise, 0),
    policies: listFrom("policies", values.policies).map((number): Policy => {
      const policy = policies[number - 1];
      if (!policy) throw new Error(`--policies ${number}: there are 1 to ${policies.length}`);
      return policy;
    }),
    rounds: numberFrom("rounds", values.rounds),
    limits: {
      readsPerSecond: numberFrom("reads", values.reads),
      bytesPerSecond: numberFrom("megabytes", values.megabytes) * 1e6,
    },
    guestSeconds: numberFrom("guest-s", values["guest-s"]),
    variants: values.variants,
    diskDirectory: values.disk,
    out: values.out,
    append: values.append,
  };
}

function imagesFrom(text: string): "same" | "distinct" {
  if (text !== "same" && text !== "distinct") throw new Error(`--images ${text}: write same or distinct`);
  return text;
}

/** An empty list leaves that part out. */
function listFrom(name: string, text: string, least = 1): number[] {
  return text
    .split(",")
    .filter(Boolean)
    .map((item) => numberFrom(name, item, least));
}

function numberFrom(name: string, text: string, least = 1): number {
  const value = Number(text);
  if (!(value >= least)) throw new Error(`--${name} ${text}: write a number of ${least} or more`);
  return value;
}
