/** What is measured: a client's run over one export, or over the plain file, ended with a figure in which more is better. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { toolEnv } from "../../fixtures/tools.ts";

export interface Outcome {
  /** MB/s of a copy, reads a second of random reads. */
  figure: number;
  /** Of random reads, the latency that 99 of 100 keep to, in microseconds. */
  p99Us?: number;
}

/** What a client reads. */
export type Target = { uri: string } | { path: string };

export interface Load {
  name: string;
  unit: "MB/s" | "reads/s";
  run(target: Target, fileBytes: number): Promise<Outcome>;
}

/** How long random reads go on. */
const seconds = 1.5;
const commandTimeoutMs = 120_000;

export const loads: readonly Load[] = [
  randomReads({ kibibytes: 4, depth: 1, connections: 1 }),
  randomReads({ kibibytes: 4, depth: 16, connections: 1 }),
  randomReads({ kibibytes: 4, depth: 1, connections: 4 }),
  randomReads({ kibibytes: 4, depth: 16, connections: 4 }),
  randomReads({ kibibytes: 64, depth: 4, connections: 1 }),
  copy(1),
  copy(4),
];

function randomReads({ kibibytes, depth, connections }: Record<"kibibytes" | "depth" | "connections", number>): Load {
  return {
    name: `${kibibytes} KiB random, ${depth} deep, ${connections === 1 ? "1 connection" : `${connections} connections`}`,
    unit: "reads/s",
    run: async (target, fileBytes) => {
      const file =
        "uri" in target
          ? ["--ioengine=nbd", `--uri=${target.uri}`]
          : ["--ioengine=libaio", `--filename=${target.path}`];
      const job = ["--name=reads", ...file, "--readonly", "--rw=randread", `--bs=${kibibytes}k`];
      const extent = [`--iodepth=${depth}`, `--size=${fileBytes}`, "--time_based", `--runtime=${seconds * 1_000}ms`];
      // A job of fio's has a connection of its own.
      const jobs = [`--numjobs=${connections}`, "--group_reporting"];
      // Otherwise the same blocks each time: a cold file would be warm. The plain file is cold or warm by `setCache` alone.
      const report = ["--randrepeat=0", "--invalidate=0", "--percentile_list=99", "--output-format=json"];
      const stdout = await command("fio", [...job, ...extent, ...jobs, ...report]);
      const [{ read, error }] = JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs;
      if (error !== 0) throw new Error(`fio failed on ${JSON.stringify(target)}: error ${error}`);
      return { figure: read.iops, p99Us: Object.values<number>(read.clat_ns.percentile)[0]! / 1_000 };
    },
  };
}

function copy(connections: number): Load {
  return {
    name: `copy, ${connections === 1 ? "1 connection" : `${connections} connections`}`,
    unit: "MB/s",
    run: async (target, fileBytes) => {
      // A file is read by as many threads.
      const side = "uri" in target ? `--connections=${connections}` : `--threads=${connections}`;
      const startMs = performance.now();
      await command("nbdcopy", [side, "uri" in target ? target.uri : target.path, "null:"]);
      return { figure: fileBytes / 1_000 / (performance.now() - startMs) };
    },
  };
}

/** Reads the whole file into the kernel's memory, or drops it from there. */
export async function setCache(file: string, state: "warm" | "cold"): Promise<void> {
  if (state === "warm") await command("dd", [`if=${file}`, "of=/dev/null", "bs=1M"]);
  else await command("dd", [`if=${file}`, "iflag=nocache", "count=0"]);
}

async function command(name: string, args: readonly string[]): Promise<string> {
  const options = { env: toolEnv, timeout: commandTimeoutMs, killSignal: "SIGKILL" } as const;
  return (await promisify(execFile)(name, args, options)).stdout;
}
