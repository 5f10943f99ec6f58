/**
 * npm run bench:wire [-- --mib 1024 --rounds 5]: one seed to one leecher over loopback, engine against engine,
 * interleaved. Prints and writes, per engine, MB/s (median, spread) and CPU seconds per GB of both ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { hash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { infoBytesOf, metainfoOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import type { WireReport } from "./report.ts";

const engines: Record<string, string[]> = {
  bootswarm: [process.execPath, join(import.meta.dirname, "bootswarm-end.ts")],
  libtorrent: ["/usr/bin/python3", join(import.meta.dirname, "libtorrent-end.py")],
  "torrent-stream": [process.execPath, join(import.meta.dirname, "torrent-stream-end.cjs")],
};

interface Measurement {
  mbPerSecond: number;
  seedCpuSecondsPerGb: number;
  leechCpuSecondsPerGb: number;
  leechPeakMib: number;
}

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "1024" },
    rounds: { type: "string", default: "5" },
    engines: { type: "string", default: Object.keys(engines).join(",") },
    out: { type: "string" },
  },
});
const bytes = Number(values.mib) * 1024 * 1024;
const pieceLengthBytes = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
try {
  await main();
} finally {
  rmSync(folder, { recursive: true });
}

async function main(): Promise<void> {
  const torrent = await makeTorrent();
  const chosen = values.engines.split(",");
  const results = new Map<string, Measurement[]>(chosen.map((name) => [name, []]));
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const name of chosen) {
      const measured = await measure(engines[name] as string[], torrent);
      results.get(name)?.push(measured);
      const figures = `${measured.mbPerSecond.toFixed(0)} MB/s, CPU s/GB seed ${measured.seedCpuSecondsPerGb.toFixed(2)}`;
      console.log(`round ${round} ${name}: ${figures} leech ${measured.leechCpuSecondsPerGb.toFixed(2)}`);
    }
  }
  const summary = Object.fromEntries([...results].map(([name, runs]) => [name, summaryOf(runs)]));
  console.table(
    Object.fromEntries(Object.entries(summary).map(([name, { medians, spread }]) => [name, { ...medians, spread }])),
  );
  if (values.out) {
    const machine = `${cpus().length} x ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
    const run = { date: new Date().toISOString(), machine, node: process.version, bytes, pieceLengthBytes, summary };
    writeFileSync(values.out, `${JSON.stringify({ ...run, rounds: Object.fromEntries(results) }, undefined, 2)}\n`);
  }
}

/** Random data in `folder`/seed/data, and its torrent. */
async function makeTorrent(): Promise<string> {
  mkdirSync(join(folder, "seed"));
  const hashes: Buffer[] = [];
  const pieces = function* () {
    for (let at = 0; at < bytes; at += pieceLengthBytes) {
      const piece = randomFillSync(Buffer.alloc(Math.min(pieceLengthBytes, bytes - at)));
      hashes.push(hash("sha1", piece, "buffer"));
      yield piece;
    }
  };
  await pipeline(Readable.from(pieces()), createWriteStream(join(folder, "seed/data")));
  const fields = { name: "data", lengthBytes: bytes, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) };
  const path = join(folder, "data.torrent");
  writeFileSync(path, metainfoOf(torrentInfoFromInfoBytes(infoBytesOf(fields))));
  return path;
}

async function measure(command: string[], torrent: string): Promise<Measurement> {
  const target = mkdtempSync(join(folder, "leech-"));
  const seed = start([...command, "seed", torrent, join(folder, "seed/data")]);
  try {
    const { port } = await seed.next("port");
    const leech = start([...command, "leech", torrent, join(target, "data"), String(port)]);
    const { seconds, usage } = await leech.next("seconds");
    await leech.ended;
    seed.child.kill("SIGTERM");
    const { usage: seedUsage } = await seed.next("usage");
    // Others end while their last writes are still on the way; every one of them checks its pieces, as we do.
    if (command === engines.bootswarm) await sameBytes(join(folder, "seed/data"), join(target, "data"));
    return {
      mbPerSecond: bytes / 1e6 / (seconds as number),
      seedCpuSecondsPerGb: cpuSeconds(seedUsage) / (bytes / 1e9),
      leechCpuSecondsPerGb: cpuSeconds(usage) / (bytes / 1e9),
      leechPeakMib: (usage?.maxRSS ?? 0) / 1024,
    };
  } finally {
    seed.child.kill("SIGKILL");
    await seed.ended;
    rmSync(target, { recursive: true });
  }
}

function start(command: string[]) {
  const child: ChildProcess = spawn(command[0] as string, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout as Readable })[Symbol.asyncIterator]();
  const next = async (key: keyof WireReport): Promise<WireReport> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command.join(" ")} ended before it told its ${key}`);
      const line = JSON.parse(value) as WireReport;
      if (line[key] !== undefined) return line;
    }
  };
  return { child, ended, next };
}

function cpuSeconds(usage: WireReport["usage"]): number {
  return usage ? (usage.userCPUTime + usage.systemCPUTime) / 1e6 : Number.NaN;
}

async function sameBytes(one: string, other: string): Promise<void> {
  const digests = await Promise.all([one, other].map(digestOf));
  if (digests[0] !== digests[1]) throw new Error(`${other} differs from ${one}`);
}

async function digestOf(path: string): Promise<string> {
  const { createHash } = await import("node:crypto");
  const digest = createHash("sha1");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), digest);
  return digest.digest("hex");
}

function summaryOf(runs: Measurement[]) {
  const medianOf = (key: keyof Measurement) => {
    const sorted = runs.map((run) => run[key]).sort((a, b) => a - b);
    return Number((sorted[Math.floor(sorted.length / 2)] as number).toFixed(2));
  };
  const rates = runs.map((run) => Math.round(run.mbPerSecond));
  return {
    medians: {
      mbPerSecond: medianOf("mbPerSecond"),
      seedCpuSecondsPerGb: medianOf("seedCpuSecondsPerGb"),
      leechCpuSecondsPerGb: medianOf("leechCpuSecondsPerGb"),
      leechPeakMib: medianOf("leechPeakMib"),
    },
    spread: `${Math.min(...rates)}-${Math.max(...rates)}`,
  };
}
