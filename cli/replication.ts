/** Waiting, for people, until several seeders hold an image. */
import type { Image } from "../proto/gen/bootswarm/image/v1/image_pb.js";
import { ReplicaState, type Replication } from "../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { CliError, usageError } from "./cli-error.ts";
import { type Context, errStyle } from "./context.ts";
import { answerMsMax, type Seeder } from "./daemons.ts";
import { createLiveRegion } from "./live-region.ts";
import { describeTransfer, renderTransfer, type Transfer } from "./progress.ts";

const replicasMax = 64;

/** The number of --replicas. @throws CliError, usage. */
export function replicasFrom(text: string): number {
  const replicas = Number(text);
  if (/^\d+$/.test(text) && replicas >= 1 && replicas <= replicasMax) return replicas;
  throw usageError(`--replicas "${text}": write how many seeders are to hold the image, from 1 to ${replicasMax}`);
}

/** Looks whether there are so many seeders, before anything is sent. @throws CliError. */
export async function checkReplicas({ catalog }: Seeder, wanted: number, signal: AbortSignal): Promise<void> {
  if (wanted < 2) return;
  const { replicas } = await catalog.listReplicas({}, { timeoutMs: answerMsMax, signal });
  const live = replicas.filter(({ state }) => state === ReplicaState.UP);
  if (live.length >= wanted) return;
  const are = live.length === 1 ? "there is only one" : `there are only ${live.length}`;
  throw new CliError(
    `${wanted} seeders cannot hold the image, as ${are}: ${live.map(({ url, id }) => url || id).join(", ")}. ` +
      `Start more on the same store (\`bootswarm seeder --store postgres://...\`), or ask for ${live.length}.`,
  );
}

/** Waits until so many seeders hold an image, with progress on standard error. How many do. */
export async function awaitReplicas(
  context: Context,
  { catalog }: Seeder,
  image: Image,
  { replicas, timeoutMs }: { replicas: number; timeoutMs: number },
): Promise<number> {
  const region = createLiveRegion(context.err, context.now);
  const style = errStyle(context);
  const of = { label: image.names[0] ?? image.digest, sizeBytes: Number(image.sizeBytes) };
  const viewOf = (transfer: Transfer) => ({
    lines: (width: number) => [renderTransfer(transfer, { width, style })],
    plain: () => [describeTransfer(transfer)],
  });
  let held = 0;
  try {
    const call = { signal: context.signal };
    for await (const { replication } of catalog.awaitReplicas({ image: image.digest, replicas, timeoutMs }, call)) {
      if (!replication) continue;
      held = replication.holding.length;
      const view = viewOf(transferOfReplication(of, replication));
      if (held < replicas) region.draw(view);
      else region.finish(view);
    }
  } finally {
    region.clear();
  }
  return held;
}

/** A line of progress: how much of all copies wanted is there, counting those on their way that are the nearest. */
export function transferOfReplication(
  { label, sizeBytes }: { label: string; sizeBytes: number },
  { wanted, holding, fetching }: Replication,
): Transfer {
  const missing = Math.max(0, wanted - holding.length);
  const nearest = fetching.toSorted((a, b) => Number(b.doneBytes - a.doneBytes)).slice(0, missing);
  const comingBytes = Number(nearest.reduce((sum, { doneBytes }) => sum + doneBytes, 0n));
  const trouble = nearest.map((each) => each.trouble).find((text) => text !== "");
  return {
    label,
    doneBytes: (wanted - missing) * sizeBytes + comingBytes,
    totalBytes: wanted * sizeBytes,
    bytesPerSecond: 0,
    state: `held by ${holding.length} of ${wanted}`,
    notes: trouble === undefined ? [] : [trouble],
  };
}
