/** What `fetch` makes of an image outside the cache: a copy (--to), or an overlay on it (--overlay). */
import { toJson } from "@bufbuild/protobuf";
import { type EnsureImageResponse, EnsureImageResponseSchema } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { CliError } from "../cli-error.ts";
import { agentOf, type Context, errStyle, type GlobalOptions } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { type CopyMethod, copyImage } from "../files/copy-image.ts";
import { createOverlay, qemuCommand, qemuFormat } from "../files/overlay.ts";
import { makeFile, type TargetFile, targetFileAt } from "../files/target-file.ts";
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfer } from "../progress.ts";
import { createRateMeter } from "../rate-meter.ts";
import { showResult } from "../report.ts";

export interface TakeOutOptions extends GlobalOptions {
  to?: string;
  overlay?: string;
  copy?: CopyMethod;
  force?: boolean;
}

/** What is to be made, checked before the image is fetched; undefined if nothing is. */
export interface TakeOut {
  kind: "copy" | "overlay";
  target: TargetFile;
  method: CopyMethod | undefined;
}

/** @throws CliError if the options make no sense together or something is in the way */
export async function takeOutFrom(options: TakeOutOptions): Promise<TakeOut | undefined> {
  const { to, overlay, copy, force = false } = options;
  const path = to ?? overlay;
  if (path === undefined) {
    if (copy !== undefined || force)
      throw new CliError("--copy and --force go with --to or --overlay", { exitStatus: 2 });
    return undefined;
  }
  if (to === undefined && copy !== undefined) throw new CliError("--copy goes with --to", { exitStatus: 2 });
  return { kind: to === undefined ? "overlay" : "copy", target: await targetFileAt(path, force), method: copy };
}

/** Makes what was asked for of an image that is ready, and says what it is. */
export async function takeOut(
  context: Context,
  options: GlobalOptions,
  ready: EnsureImageResponse,
  what: TakeOut,
): Promise<void> {
  const { path } = what.target;
  const release = await holdMeanwhile(context, options, ready, what);
  try {
    const made =
      what.kind === "copy" ? await copyOut(context, ready, what) : await overlayOn(context, options, ready, what);
    const json = toJson(EnsureImageResponseSchema, ready, { alwaysEmitImplicit: true }) as object;
    showResult(context, options, { ...json, [what.kind]: { path, ...made.json } }, path);
    for (const note of made.notes) context.err.write(`${note}\n`);
  } catch (error) {
    if (!context.signal.aborted) throw error;
    throw new CliError(`stopped; ${path} was not made`, { exitStatus: 130 });
  } finally {
    release();
  }
}

/**
 * Keeps the image from eviction and removal for as long as its file is being read.
 *
 * @returns what ends that; if this process is killed, the call ends with it
 * @throws ConnectError "not found" if the image has gone since it was ready
 */
async function holdMeanwhile(context: Context, options: GlobalOptions, ready: EnsureImageResponse, what: TakeOut) {
  const released = new AbortController();
  const signal = AbortSignal.any([context.signal, released.signal]);
  const holder = `bootswarm fetch --${what.kind === "copy" ? "to" : "overlay"}`;
  const image = ready.fetch?.digest ?? "";
  const held = agentOf(options).service.holdImage({ image, holder }, { signal })[Symbol.asyncIterator]();
  await held.next();
  const keepOn = async () => {
    while (!(await held.next()).done);
  };
  // Should the agent go away meanwhile, the file can be read all the same.
  keepOn().catch(() => {});
  return () => released.abort();
}

interface Made {
  json: Record<string, string>;
  notes: string[];
}

async function copyOut(context: Context, ready: EnsureImageResponse, { target, method }: TakeOut): Promise<Made> {
  const region = createLiveRegion(context.err, context.now);
  const style = errStyle(context);
  const meter = createRateMeter(context.now());
  const sizeBytes = Number(ready.fetch?.sizeBytes ?? 0n);
  const onBytes = (doneBytes: number) => {
    meter.note(doneBytes, context.now());
    const bytesPerSecond = meter.rate();
    const etaSeconds = bytesPerSecond > 0 ? (sizeBytes - doneBytes) / bytesPerSecond : undefined;
    const transfer = { label: "copying", doneBytes, totalBytes: sizeBytes, bytesPerSecond, etaSeconds, notes: [] };
    region.draw({
      lines: (width) => [renderTransfer(transfer, { width, style })],
      plain: () => [describeTransfer(transfer)],
    });
  };
  try {
    const copy = { source: ready.path, sizeBytes, method, onBytes, signal: context.signal };
    const used = await makeFile(target, (aside) => copyImage(copy, aside));
    return { json: { method: used }, notes: [describeCopy[used]] };
  } finally {
    region.clear();
  }
}

const describeCopy: Readonly<Record<CopyMethod, string>> = {
  reflink: "a reflink copy: it shares its blocks with the cache until they are written to, and is yours to write to",
  link: "a hard link, read-only: it is the cache's own file. Never write to it, not even as root; take an overlay of it",
  copy: "a copy: it is yours to write to",
};

async function overlayOn(
  context: Context,
  options: GlobalOptions,
  ready: EnsureImageResponse,
  { target }: TakeOut,
): Promise<Made> {
  const { service } = agentOf(options);
  const image = ready.fetch?.digest ?? "";
  const call = { timeoutMs: answerMsMax, signal: context.signal };
  const found = (await service.getImage({ image }, call)).image;
  const backing = { path: ready.path, format: qemuFormat(found?.format ?? 0) };
  await makeFile(target, async (aside) => {
    await createOverlay(backing, aside, context.signal);
    // The overlay is nothing without the image: from before it is at its path, until the user says otherwise. Not undone
    // should that fail: another overlay may have come to need it.
    await service.pinImage({ image }, call);
  });
  const name = ready.fetch?.name || image;
  return {
    json: { backing: backing.path, backingFormat: backing.format },
    notes: [
      `an overlay on ${backing.path}, which is pinned for it: \`bootswarm unpin ${name}\` once no overlay is left`,
      `boot it with: ${qemuCommand(target.path)}`,
    ],
  };
}
