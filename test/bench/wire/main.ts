/**
 * npm run bench:wire: one seed to one receiver over loopback, contender against contender, interleaved. Prints and writes,
 * per contender, MB/s (median, spread), CPU seconds per GB and peak memory of both ends, and all of it over libtorrent's.
 */
import { createHash, hash, randomFillSync } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { infoBytesOf, metainfoOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { medians, rounded, spread } from "../statistics.ts";
import { aria2 } from "./aria2.ts";
import type { Contender, Job, Measurement, Transfer } from "./contender.ts";
import { bootswarm, libtorrent, torrentStream } from "./engines.ts";
import { nginx, origin } from "./http.ts";

const contenders: Record<string, Contender> = {
  bootswarm,
  libtorrent,
  aria2c: aria2,
  "torrent-stream": torrentStream,
  "nginx+curl": nginx,
  "origin+curl": origin,
};
const pieceLengthBytes = 1024 * 1024;

const values = commandLine(
  "bench:wire",
  "one seed to one receiver over loopback, contender against contender, interleaved",
  {
    mib: { default: 1024, means: "size of what is sent, in MiB" },
    rounds: { default: 5, means: "each contender in turn, so many times" },
    engines: { value: "LIST", default: Object.keys(contenders).join(","), means: "contenders" },
    out: { value: "FILE", means: "write the results as JSON" },
  },
);
const bytes = values.mib * 1024 * 1024;
const names = values.engines.split(",");
const unknown = names.filter((name) => !(name in contenders));
if (unknown.length > 0) throw new Error(`no such engine: ${unknown}; there are ${Object.keys(contenders)}`);

const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
try {
  await using opened = new AsyncDisposableStack();
  const data = await makeData();
  const transfers = new Map<string, Transfer>();
  for (const name of names) {
    const own = mkdtempSync(join(folder, "contender-"));
    transfers.set(name, await (contenders[name] as Contender).prepare({ ...data, folder: own }, opened));
  }
  const results = new Map<string, Measurement[]>(names.map((name) => [name, []]));
  for (let round = 1; round <= values.rounds; round++) {
    for (const [name, transfer] of transfers) {
      const measured = await measureOnce(name, transfer, data.dataPath);
      results.get(name)?.push(measured);
      const cpu = `CPU s/GB seed ${measured.seedCpuSecondsPerGb.toFixed(2)} leech ${measured.leechCpuSecondsPerGb.toFixed(2)}`;
      console.log(`round ${round} ${name}: ${measured.mbPerSecond.toFixed(0)} MB/s, ${cpu}`);
    }
  }
  tell(results);
} finally {
  rmSync(folder, { recursive: true });
}

/** Random data in `folder`/seed/data, and its torrent. */
async function makeData(): Promise<Omit<Job, "folder">> {
  mkdirSync(join(folder, "seed"));
  const hashes: Buffer[] = [];
  const pieces = function* () {
    for (let at = 0; at < bytes; at += pieceLengthBytes) {
      const piece = randomFillSync(Buffer.alloc(Math.min(pieceLengthBytes, bytes - at)));
      hashes.push(hash("sha1", piece, "buffer"));
      yield piece;
    }
  };
  const dataPath = join(folder, "seed/data");
  await pipeline(Readable.from(pieces()), createWriteStream(dataPath));
  const fields = { name: "data", lengthBytes: bytes, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) };
  const info = torrentInfoFromInfoBytes(infoBytesOf(fields));
  const torrentPath = join(folder, "data.torrent");
  writeFileSync(torrentPath, metainfoOf(info));
  return { torrentPath, infohash: info.infohash, dataPath, bytes };
}

async function measureOnce(name: string, transfer: Transfer, dataPath: string): Promise<Measurement> {
  const target = mkdtempSync(join(folder, "target-"));
  await touchMemory(dataPath, join(target, "scratch"));
  try {
    const measured = await transfer(join(target, "data"));
    if (contenders[name]?.isComparable) await sameBytes(dataPath, join(target, "data"));
    return measured;
  } finally {
    rmSync(target, { recursive: true });
  }
}

/**
 * Writes as much as the contender will, and deletes it. A virtual machine gives memory that it does not use back to its
 * host after a while, and page by page it comes back slowly: whoever writes first would pay for all.
 */
async function touchMemory(dataPath: string, scratch: string): Promise<void> {
  await pipeline(createReadStream(dataPath, { highWaterMark: 1024 * 1024 }), createWriteStream(scratch));
  rmSync(scratch);
}

async function sameBytes(one: string, other: string): Promise<void> {
  const digests = await Promise.all([one, other].map(digestOf));
  if (digests[0] !== digests[1]) throw new Error(`${other} differs from ${one}`);
}

async function digestOf(path: string): Promise<string> {
  const digest = createHash("sha1");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), digest);
  return digest.digest("hex");
}

/** Prints the summary, and writes it with all rounds where asked to. */
function tell(results: ReadonlyMap<string, Measurement[]>): void {
  const summary = Object.fromEntries(
    [...results].map(([name, rounds]) => [
      name,
      { ...medians<keyof Measurement & string>(rounds), spread: spread(rounds.map((round) => round.mbPerSecond)) },
    ]),
  );
  console.table(summary);
  const reference = results.get("libtorrent");
  const ratios = reference && ratiosTo(reference, results);
  if (ratios) {
    console.log("over libtorrent's");
    console.table(ratios);
  }
  if (!values.out) return;
  const run = { ...runFacts(), bytes, pieceLengthBytes, summary, overLibtorrent: ratios };
  writeFileSync(values.out, `${JSON.stringify({ ...run, rounds: Object.fromEntries(results) }, undefined, 2)}\n`);
}

/** Each contender's medians over the reference's; CPU is that of both ends together. */
function ratiosTo(reference: readonly Measurement[], results: ReadonlyMap<string, Measurement[]>) {
  const figuresOf = (rounds: readonly Measurement[]) =>
    medians(
      rounds.map(({ mbPerSecond, seedCpuSecondsPerGb, leechCpuSecondsPerGb, seedPeakMib, leechPeakMib }) => ({
        ...{ mbPerSecond, seedPeakMib, leechPeakMib },
        cpuSecondsPerGb: seedCpuSecondsPerGb + leechCpuSecondsPerGb,
      })),
    );
  const base = figuresOf(reference);
  const entries = [...results].map(([name, rounds]) => {
    const figures = figuresOf(rounds);
    const keys = Object.keys(base) as (keyof typeof base)[];
    return [name, Object.fromEntries(keys.map((key) => [key, rounded(figures[key] / base[key])]))];
  });
  return Object.fromEntries(entries) as Record<string, Record<keyof typeof base, number>>;
}
