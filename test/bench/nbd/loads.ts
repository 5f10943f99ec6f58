/** What is measured: a client's run over one export, ended with a figure in which more is better. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { toolEnv } from "../../fixtures/tools.ts";

export interface Outcome {
  /** MB/s of a copy, reads a second of random reads. */
  figure: number;
  /** Of random reads, the latency that 99 of 100 keep to, in microseconds. */
  p99Us?: number;
}

export interface Load {
  name: string;
  unit: "MB/s" | "reads/s";
  run(uri: string, fileBytes: number): Promise<Outcome>;
}

export const loads: readonly Load[] = [
  randomReads("4 KiB random, 1 deep", 4, 1),
  randomReads("4 KiB random, 16 deep", 4, 16),
  randomReads("64 KiB random, 4 deep", 64, 4),
  copy("copy, 1 connection", 1),
  copy("copy, 4 connections", 4),
];

/** How long random reads go on. */
const seconds = 1.5;

function randomReads(name: string, kibibytes: number, depth: number): Load {
  return {
    name,
    unit: "reads/s",
    run: async (uri, fileBytes) => {
      const job = ["--name=reads", "--ioengine=nbd", `--uri=${uri}`, "--rw=randread", `--bs=${kibibytes}k`];
      const extent = [`--iodepth=${depth}`, `--size=${fileBytes}`, "--time_based", `--runtime=${seconds * 1_000}ms`];
      // Otherwise the same blocks each time: a cold file would be warm.
      const report = ["--randrepeat=0", "--percentile_list=99", "--output-format=json"];
      const stdout = await command("fio", [...job, ...extent, ...report]);
      const [{ read, error }] = JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs;
      if (error !== 0) throw new Error(`fio failed on ${uri}: error ${error}`);
      return { figure: read.iops, p99Us: Object.values<number>(read.clat_ns.percentile)[0]! / 1_000 };
    },
  };
}

function copy(name: string, connections: number): Load {
  return {
    name,
    unit: "MB/s",
    run: async (uri, fileBytes) => {
      const startMs = performance.now();
      await command("nbdcopy", [`--connections=${connections}`, uri, "null:"]);
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
  return (await promisify(execFile)(name, args, { env: toolEnv, timeout: 120_000, killSignal: "SIGKILL" })).stdout;
}
