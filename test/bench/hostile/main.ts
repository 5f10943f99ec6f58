/**
 * npm run bench:hostile: one node under attack while an honest leecher fetches from it, attack by attack. Prints and writes
 * the node's memory and CPU, and the leecher's rate.
 */
import { type ChildProcess, fork } from "node:child_process";
import { hash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { infoBytesOf, metainfoOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { connectionAttacks, dhtFloods } from "./attacks.ts";
import type { AttackCounts, Fetched, Target, Usage } from "./messages.ts";

const values = commandLine(
  "bench:hostile",
  "one node under attack while an honest leecher fetches from it, attack by attack",
  {
    mib: { default: 256, means: "size of what the leecher fetches, in MiB" },
    seconds: { default: 5, means: "how long an attack lasts at the least" },
    attacks: { value: "LIST", default: [...Object.keys(connectionAttacks), dhtFloods].join(","), means: "attacks" },
    out: { value: "FILE", means: "write the results as JSON; those that FILE has of other attacks are kept" },
  },
);
const bytes = values.mib * 2 ** 20;
const pieceLengthBytes = 2 ** 20;
/** The attack is under way by then. */
const warmUpMs = 1_500;
/** Time to let go of what the attack has taken. */
const coolDownMs = 2_000;
const sampleMs = 50;
/** So much behind the node and the leecher the attacker comes for a core. */
const attackerNice = 5;
/** An honest leecher that takes longer is not waited for: what it got counts. */
const leecherTimeoutMs = 60_000;

interface Measurement {
  rssMib: { before: number; peak: number; after: number };
  /** The honest leecher's, from its first piece on. */
  mbPerSecond: { alone: number; attacked: number };
  firstPieceSeconds: { alone: number; attacked: number };
  /** Of one core, while attacked: the fetch included. */
  cpuShare: number;
  peersMax: number;
  attack: AttackCounts;
}

const folder = mkdtempSync(join(tmpdir(), "bootswarm-hostile-"));
const children = new Set<ChildProcess>();
try {
  await main();
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
}

async function main(): Promise<void> {
  await makeTorrent();
  const results: Record<string, Measurement> = {};
  for (const kind of values.attacks.split(",")) {
    const measured = await measure(kind);
    results[kind] = measured;
    console.log(`${kind}: ${JSON.stringify(measured)}`);
    if (values.out) keep(values.out, results);
  }
  console.table(Object.fromEntries(Object.entries(results).map(([kind, measured]) => [kind, rowOf(measured)])));
}

function keep(path: string, results: Record<string, Measurement>): void {
  const earlier = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).results : {};
  const run = { ...runFacts(), bytes, pieceLengthBytes, results: { ...earlier, ...results } };
  writeFileSync(path, `${JSON.stringify(run, undefined, 2)}\n`);
}

async function measure(kind: string): Promise<Measurement> {
  const directory = mkdtempSync(join(folder, "node-"));
  const node = start("target.ts", [join(folder, "data"), join(folder, "data.torrent"), directory]);
  const [target] = (await once(node, "message")) as [Target];
  // The first fetch warms up memory that is used again; the second is the measure.
  await fetch(target, directory);
  const alone = await fetch(target, directory);
  const before = await ask<Usage>(node);
  const attacker = start("attacker.ts", [kind, JSON.stringify(target)]);
  // Attackers are elsewhere: they should not take the node's processor time.
  setPriority(attacker.pid as number, Math.min(getPriority() + attackerNice, 19));
  let peakBytes = before.rssBytes;
  let peersMax = 0;
  const watch = { isOver: false };
  const watching = (async () => {
    while (!watch.isOver) {
      const { rssBytes, peers } = await ask<Usage>(node);
      peakBytes = Math.max(peakBytes, rssBytes);
      peersMax = Math.max(peersMax, peers);
      await sleep(sampleMs);
    }
  })();
  const startedAtMs = performance.now();
  await sleep(warmUpMs);
  const attacked = await fetch(target, directory);
  await sleep(Math.max(0, values.seconds * 1_000 - (performance.now() - startedAtMs)));
  watch.isOver = true;
  await watching;
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const during = await ask<Usage>(node);
  const attack = await ask<AttackCounts>(attacker);
  await end(attacker);
  await sleep(coolDownMs);
  const after = await ask<Usage>(node);
  await end(node);
  rmSync(directory, { recursive: true });
  return {
    rssMib: { before: mib(before.rssBytes), peak: mib(peakBytes), after: mib(after.rssBytes) },
    mbPerSecond: { alone: alone.mbPerSecond, attacked: attacked.mbPerSecond },
    firstPieceSeconds: { alone: rounded(alone.firstPieceSeconds), attacked: rounded(attacked.firstPieceSeconds) },
    cpuShare: rounded((during.cpuSeconds - before.cpuSeconds) / seconds),
    peersMax,
    attack,
  };
}

/** An honest fetch of the seeded torrent, as far as it came in time, and its rate from the first piece on. */
async function fetch(target: Target, directory: string): Promise<Fetched & { mbPerSecond: number }> {
  const path = join(directory, "fetched");
  const child = start("leecher.ts", [target.infohashes.seeded, String(target.peerPort), path]);
  const timeout = new AbortController();
  const told = once(child, "message");
  void sleep(leecherTimeoutMs, undefined, { signal: timeout.signal }).then(
    () => child.send("tell"),
    () => {},
  );
  const [fetched] = (await told) as [Fetched];
  timeout.abort();
  await end(child);
  if (fetched.bytes === bytes) sameBytes(path);
  rmSync(path, { force: true });
  rmSync(`${path}.have`, { force: true });
  const { seconds, firstPieceSeconds } = fetched;
  const afterFirstBytes = Math.max(0, fetched.bytes - pieceLengthBytes);
  return { ...fetched, mbPerSecond: rounded(afterFirstBytes / 1e6 / (seconds - firstPieceSeconds)) };
}

function sameBytes(path: string): void {
  const [one, other] = [path, join(folder, "data")].map((each) => hash("sha1", readFileSync(each)));
  if (one !== other) throw new Error("what the leecher got is not what the node has");
}

function start(script: string, args: string[]): ChildProcess {
  const child = fork(join(import.meta.dirname, script), args);
  children.add(child);
  return child;
}

async function ask<Answer>(child: ChildProcess): Promise<Answer> {
  if (child.exitCode !== null || child.signalCode !== null) throw new Error("the node has ended");
  const answer = once(child, "message");
  child.send("usage");
  return (await answer)[0] as Answer;
}

async function end(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Random data in `folder`/data, and its torrent beside it. */
async function makeTorrent(): Promise<void> {
  const hashes: Buffer[] = [];
  const pieces = function* () {
    for (let at = 0; at < bytes; at += pieceLengthBytes) {
      const piece = randomFillSync(Buffer.alloc(Math.min(pieceLengthBytes, bytes - at)));
      hashes.push(hash("sha1", piece, "buffer"));
      yield piece;
    }
  };
  await pipeline(Readable.from(pieces()), createWriteStream(join(folder, "data")));
  const fields = { name: "data", lengthBytes: bytes, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) };
  writeFileSync(join(folder, "data.torrent"), metainfoOf(torrentInfoFromInfoBytes(infoBytesOf(fields))));
}

function rowOf({ rssMib, mbPerSecond, firstPieceSeconds, cpuShare, peersMax, attack }: Measurement) {
  return {
    "RSS MiB": `${rssMib.before} ${rssMib.peak} ${rssMib.after}`,
    "MB/s": `${mbPerSecond.alone} ${mbPerSecond.attacked}`,
    "first piece s": `${firstPieceSeconds.alone} ${firstPieceSeconds.attacked}`,
    CPU: cpuShare,
    peers: peersMax,
    made: attack.made,
    greeted: attack.greeted,
    "turned away": attack.turnedAway,
  };
}

function rounded(figure: number): number {
  return Number(figure.toFixed(2));
}

function mib(count: number): number {
  return Math.round(count / 2 ** 20);
}
