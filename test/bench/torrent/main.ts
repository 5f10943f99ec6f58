/**
 * npm run bench:torrent: what it costs to publish an image with its torrent. For each size, interleaved: sha256sum of the
 * file; an upload by HTTP PUT to a seeder's process, which answers with the magnet link once all is hashed and on disk; the
 * same by `bootswarm publish`.
 */
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { CatalogService } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { BenchChild, launcherFromSources, startDaemon } from "../child.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { median, medians, rounded, spread } from "../statistics.ts";
import { timedUpload } from "./timed-upload.ts";

interface Round extends Record<string, number> {
  sha256sumMbPerSecond: number;
  putMbPerSecond: number;
  /** Of the PUT. */
  lastByteToMagnetMs: number;
  seederCpuSecondsPerGb: number;
  /** Start of the command included. */
  cliMbPerSecond: number;
  /** What the disk takes: a plain write of the same bytes with a sync at its end. */
  writeAndSyncMbPerSecond: number;
}

const values = commandLine(
  "bench:torrent",
  "what it costs to publish an image with its torrent, beside sha256sum of the same file",
  {
    mib: { value: "LIST", default: "64,256,1024", means: "sizes of images, in MiB" },
    rounds: { default: 5, means: "everything in turn, so many times" },
    out: { value: "FILE", means: "write the results as JSON" },
    "seeder-cpu-profile": { value: "DIR", means: "profile the seeder, and keep that there" },
  },
);
const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
const profile = values["seeder-cpu-profile"];
const profiling = profile ? ["--cpu-prof", `--cpu-prof-dir=${profile}`] : [];
try {
  const [node, ...rest] = launcherFromSources as [string, ...string[]];
  const launcher = [node, ...profiling, ...rest];
  const seeder = await startDaemon("seeder", { dataDirectory: join(folder, "seeder") }, launcher);
  await using _process = seeder.process;
  const results: Record<string, Round[]> = {};
  for (const mib of values.mib.split(",").map(Number)) {
    const path = randomFile(mib);
    const rounds: Round[] = [];
    results[`${mib} MiB`] = rounds;
    // The first round warms the seeder up, and is thrown away: a daemon is started once.
    for (let round = 0; round <= values.rounds; round++) {
      const measured = await measure(path, mib * 1024 * 1024);
      if (round === 0) continue;
      rounds.push(measured);
      const ratio = measured.putMbPerSecond / measured.sha256sumMbPerSecond;
      const last = `${measured.lastByteToMagnetMs.toFixed(0)} ms from the last byte to the magnet link`;
      console.log(`${mib} MiB, round ${round}: PUT ${ratio.toFixed(2)} of sha256sum's rate, ${last}`);
    }
    rmSync(path);
  }
  tell(results, usageOf(seeder.process.pid).peakMib);
  await seeder.process.end("SIGTERM");

  async function measure(path: string, bytes: number): Promise<Round> {
    const mbPerSecond = (seconds: number) => bytes / 1e6 / seconds;
    const sum = timed(() => execFileSync("sha256sum", [path]));
    const writing = timed(() => {
      execFileSync("dd", [`if=${path}`, `of=${join(folder, "copy")}`, "bs=1M", "conv=fsync", "status=none"]);
    });
    rmSync(join(folder, "copy"));
    const before = usageOf(seeder.process.pid);
    const put = await timedUpload(`${seeder.url}/images/put`, path, bytes);
    const after = usageOf(seeder.process.pid);
    const { magnetUri } = JSON.parse(put.text) as { magnetUri?: string };
    if (put.status !== 201 || !magnetUri) throw new Error(`the seeder answered ${put.status}: ${put.text}`);
    await retire("put");
    const startMs = performance.now();
    await using publish = new BenchChild([
      ...launcherFromSources,
      "publish",
      path,
      "--name",
      "cli",
      "--seeder",
      seeder.url,
    ]);
    await publish.line((line) => (line.includes("magnet:?xt=urn:btih:") ? line : undefined));
    await publish.ended;
    const cliSeconds = (performance.now() - startMs) / 1_000;
    await retire("cli");
    return {
      sha256sumMbPerSecond: mbPerSecond(sum),
      putMbPerSecond: mbPerSecond(put.seconds),
      lastByteToMagnetMs: put.lastByteToAnswerMs,
      seederCpuSecondsPerGb: (after.cpuSeconds - before.cpuSeconds) / (bytes / 1e9),
      cliMbPerSecond: mbPerSecond(cliSeconds),
      writeAndSyncMbPerSecond: mbPerSecond(writing),
    };
  }

  async function retire(image: string): Promise<void> {
    const transport = createConnectTransport({ baseUrl: seeder.url, httpVersion: "1.1" });
    await createClient(CatalogService, transport).retireImage({ image });
  }
} finally {
  rmSync(folder, { recursive: true });
}

function timed(run: () => unknown): number {
  const startMs = performance.now();
  run();
  return (performance.now() - startMs) / 1_000;
}

function randomFile(mib: number): string {
  const path = join(folder, `${mib}.img`);
  const file = openSync(path, "w");
  for (let written = 0; written < mib; written++) writeSync(file, randomFillSync(Buffer.allocUnsafe(1024 * 1024)));
  closeSync(file);
  return path;
}

function tell(results: Record<string, Round[]>, seederPeakMib: number): void {
  const summary = Object.fromEntries(
    Object.entries(results).map(([size, rounds]) => {
      const ratios = rounds.map((round) => round.putMbPerSecond / round.sha256sumMbPerSecond);
      const figures = {
        ...medians<keyof Round & string>(rounds),
        putOverSha256sum: rounded(median(ratios)),
        putOverSha256sumSpread: spread(ratios, 2),
        lastByteToMagnetMsSpread: spread(rounds.map((round) => round.lastByteToMagnetMs)),
      };
      return [size, figures];
    }),
  );
  for (const [size, figures] of Object.entries(summary)) console.log(size, figures);
  console.log(`the seeder's peak memory: ${rounded(seederPeakMib, 0)} MiB`);
  if (!values.out) return;
  const run = { ...runFacts(), seederPeakMib: rounded(seederPeakMib, 0), summary, rounds: results };
  writeFileSync(values.out, `${JSON.stringify(run, undefined, 2)}\n`);
}
