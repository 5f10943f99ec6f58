import { stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { formatBytes, formatRate, formatSeconds } from "../../figures/units.ts";
import { CliError, usageError } from "../cli-error.ts";
import type { DaemonAddress, DaemonKind } from "../daemon-address.ts";
import { agentAt, type Seeder, seederAt } from "../daemons.ts";
import { renderTable, type Table } from "../table.ts";
import { wrapped } from "../visible-text.ts";
import type { DaemonProcess } from "./daemon-process.ts";
import { type Finish, raceToReady } from "./fetch-race.ts";
import { readMetric } from "./metric.ts";
import { nameFrom, type Published, type Publishing, publishFile, publishMade } from "./publishing.ts";
import type { Stage } from "./stage.ts";
import { finishesTable, inventoryTable } from "./views.ts";

const mebibyte = 1024 * 1024;
const diskSizeBytes = 256 * mebibyte;
const smallSizeBytes = 24 * mebibyte;
const nodeCount = 4;
/** The seeder sends no faster to peers, as if its link were the bottleneck that it is in a real cloud. */
const seederUploadBytesPerSecond = 40 * mebibyte;
/** Longest wait for the inventory to know what the nodes have; they report at once when something changes. */
const inventoryMsMax = 15_000;

/** What the demonstration plays with. */
export interface Story extends Publishing {
  stage: Stage;
  /** The user's own image; one is made if there is none. */
  imagePath: string | undefined;
}

interface Cast {
  seeder: Seeder;
  nodes: DaemonProcess[];
}

/** The whole demonstration, from an empty folder to the inventory. */
export async function tellStory(story: Story): Promise<void> {
  const { style } = story;
  const sizeBytes = await checkSpace(story);
  say(story, style.bold("bootswarm: one seeder and four nodes on this machine, over loopback only"));
  heading(story, 1, "Start the seeder and the nodes");
  const cast = await startDaemons(story);
  heading(story, 2, "Publish four images; torrents are made while the bytes arrive");
  const main = await publishMain(story, cast.seeder);
  const small = await publishSmall(story, cast.seeder);
  heading(
    story,
    3,
    `All four nodes fetch ${main.name} at once. The seeder may send ${formatRate(seederUploadBytesPerSecond)} in all`,
  );
  await raceForMain(story, cast, main, sizeBytes);
  heading(story, 4, "Different nodes want different images");
  await raceForSmall(story, cast, small);
  heading(story, 5, "A fifth image, published without a torrent, arrives by HTTP");
  const fifth = await publishMade(story, cast.seeder, {
    name: "no-torrent",
    sizeBytes: smallSizeBytes,
    torrent: false,
  });
  await raceToReady(
    story,
    cast.nodes.slice(0, 2).map((node) => ({ node, image: fifth.name })),
  );
  heading(story, 6, "What the inventory knows, told by the nodes themselves");
  await showInventory(story, cast, [main, ...small, fifth]);
}

function say(story: Story, line: string): void {
  story.out.write(`${line}\n`);
}

/** A sentence, broken to the terminal's width. */
function tell(story: Story, text: string): void {
  const width = story.out.isTTY ? (story.out.columns ?? 80) - 1 : Number.POSITIVE_INFINITY;
  for (const line of wrapped(text, width, "  ")) say(story, line);
}

function heading(story: Story, number: number, text: string): void {
  say(story, `\n${story.style.cyan(story.style.bold(`${number}.`))} ${story.style.bold(text)}`);
}

function show(story: Story, table: Table): void {
  const width = story.out.isTTY ? story.out.columns : undefined;
  for (const line of renderTable(table, { width, style: story.style })) say(story, line);
}

/** Size of the main image; refuses what would fill the temporary folder's filesystem. */
async function checkSpace(story: Story): Promise<number> {
  const own = story.imagePath === undefined ? undefined : await stat(story.imagePath).catch(() => undefined);
  if (story.imagePath !== undefined && !own?.isFile()) throw usageError(`${story.imagePath} is no file`);
  const sizeBytes = own?.size ?? diskSizeBytes;
  const { bavail, bsize } = await statfs(story.stage.folder);
  // One copy on the seeder, one on each node; the file made here is gone before the nodes fetch.
  const neededBytes = sizeBytes * (1 + nodeCount) + 20 * smallSizeBytes;
  if (bavail * bsize < neededBytes) {
    throw new CliError(
      `${story.stage.folder} has ${formatBytes(bavail * bsize)} free, and this needs ${formatBytes(neededBytes)}; ` +
        "set TMPDIR to a folder on a larger filesystem",
    );
  }
  return sizeBytes;
}

async function startDaemons(story: Story): Promise<Cast> {
  const { stage, now } = story;
  const startMs = now();
  const anyPorts = ["--listen", "127.0.0.1:0", "--set", "swarm.port=0", "--set", "dht.port=0"];
  const seeder = await stage.start({
    kind: "seeder",
    name: "seeder",
    args: [
      ...["--data", join(stage.folder, "seeder"), ...anyPorts],
      ...["--set", `swarm.uploadBytesPerSecondMax=${seederUploadBytesPerSecond}`],
    ],
  });
  const names = Array.from({ length: nodeCount }, (_, index) => `node-${index + 1}`);
  const nodes = await Promise.all(
    names.map((name) =>
      stage.start({
        kind: "agent",
        name,
        args: ["--seeder", seeder.url, "--state", join(stage.folder, name), "--set", `name=${name}`, ...anyPorts],
      }),
    ),
  );
  for (const daemon of [seeder, ...nodes]) say(story, `  ${daemon.name.padEnd(7)} ${story.style.dim(daemon.url)}`);
  say(
    story,
    `  ${"watch".padEnd(7)} ${story.style.dim(`${seeder.url}/ in a browser: the dashboard, while this lasts`)}`,
  );
  say(story, `  up in ${formatSeconds((now() - startMs) / 1000)}`);
  return { seeder: seederAt(addressOf("seeder", seeder)), nodes };
}

function addressOf(kind: DaemonKind, { url }: DaemonProcess): DaemonAddress {
  return { kind, url, baseUrl: url, socketPath: undefined };
}

async function publishMain(story: Story, seeder: Seeder): Promise<Published> {
  const { imagePath } = story;
  if (imagePath === undefined) {
    return await publishMade(story, seeder, { name: "demo-disk", sizeBytes: diskSizeBytes, torrent: true });
  }
  return await publishFile(story, seeder, { path: imagePath, name: nameFrom(imagePath), torrent: true });
}

async function publishSmall(story: Story, seeder: Seeder): Promise<Published[]> {
  const published: Published[] = [];
  for (const name of ["web-server", "database", "rescue"]) {
    published.push(await publishMade(story, seeder, { name, sizeBytes: smallSizeBytes, torrent: true }));
  }
  return published;
}

async function raceForMain(story: Story, cast: Cast, main: Published, sizeBytes: number): Promise<void> {
  const sentBefore = await seederSentBytes(cast.seeder);
  const finishes = await raceToReady(
    story,
    cast.nodes.map((node) => ({ node, image: main.name })),
  );
  const sentBytes = (await seederSentBytes(cast.seeder)) - sentBefore;
  say(story, "");
  show(story, finishesTable(finishes));
  say(story, "");
  for (const text of verdict(finishes, sizeBytes, sentBytes)) tell(story, text);
}

function seederSentBytes(seeder: Seeder): Promise<number> {
  return readMetric(seeder.address.url, "bootswarm_seeder_sent_bytes_total");
}

/** What the race shows: how little the seeder sent, and how long the same link would have taken without the swarm. */
function verdict(finishes: readonly Finish[], sizeBytes: number, sentBytes: number): string[] {
  const slowest = Math.max(...finishes.map(({ seconds }) => seconds));
  const alone = (sizeBytes * finishes.length) / seederUploadBytesPerSecond;
  const copies = (sentBytes / sizeBytes).toFixed(1);
  return [
    `The seeder sent ${formatBytes(sentBytes)}, ${copies} copies, for the ${finishes.length} that arrived; the nodes gave each other the rest.`,
    `Last node ready after ${formatSeconds(slowest)}. Sent ${finishes.length} times through the seeder's link: at least ${formatSeconds(alone)}.`,
  ];
}

async function raceForSmall(story: Story, cast: Cast, images: readonly Published[]): Promise<void> {
  // Each node wants another pair of the three.
  const entrants = cast.nodes.flatMap((node, index) =>
    images.filter((_, column) => (index + column) % 3 !== 0).map(({ name }) => ({ node, image: name })),
  );
  await raceToReady(story, entrants);
}

async function showInventory(story: Story, cast: Cast, images: readonly Published[]): Promise<void> {
  const { inventory } = cast.seeder;
  const call = { signal: story.signal };
  const deadlineMs = story.now() + inventoryMsMax;
  const expected = await heldByNodes(cast);
  for (;;) {
    const nodes = await Promise.all(
      cast.nodes.map(async ({ name }) => {
        const { holdings } = await inventory.getNode({ node: name }, call);
        return { name, digests: new Set(holdings.map(({ digest }) => digest)) };
      }),
    );
    const known = nodes.reduce((total, { digests }) => total + digests.size, 0);
    if (known >= expected) {
      show(story, inventoryTable(images, nodes));
      return;
    }
    if (story.now() > deadlineMs) {
      throw new CliError(`the inventory knows ${known} of the ${expected} images that the nodes hold`);
    }
    await delay(200, undefined, call);
  }
}

/** How many images the nodes have, by their own count. */
async function heldByNodes(cast: Cast): Promise<number> {
  const counts = cast.nodes.map(
    async (node) => (await agentAt(addressOf("agent", node)).service.listImages({})).images,
  );
  return (await Promise.all(counts)).reduce((total, images) => total + images.length, 0);
}

/** What to do after the demonstration, whose daemons and files are gone by now. */
export function sayWhereNext(story: Story): void {
  const { bold, dim } = story.style;
  say(story, `\n${bold("Where to go next")}`);
  tell(story, "The demonstration's daemons are stopped and its files removed. To run your own:");
  say(story, dim("    alias bootswarm=$PWD/bin/bootswarm.js"));
  say(story, dim("    bootswarm seeder --data /tmp/seeder &"));
  say(story, dim("    bootswarm agent --state /tmp/node &"));
  say(story, dim("    bootswarm publish my.qcow2 --name my-image && bootswarm fetch my-image"));
  tell(story, "README.md has the tour, the API and every configuration key; `bootswarm --help` has the commands.");
}
