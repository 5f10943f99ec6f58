import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import {
  CancelFetchResponseSchema,
  type EnsureImageResponse,
  EnsureImageResponseSchema,
  ListFetchesResponseSchema,
} from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { FetchPriority, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { CliError } from "../cli-error.ts";
import { agentOf, type Context, errStyle, type GlobalOptions } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { durationMsFrom } from "../duration.ts";
import { copyMethods } from "../files/copy-image.ts";
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfer } from "../progress.ts";
import { incompleteAnswer, showReport, showResult } from "../report.ts";
import { fetchesTable, transferOfFetch } from "../views/fetches.ts";
import { holdImage, takeLease } from "./leases.ts";
import { type TakeOutOptions, takeOut, takeOutFrom } from "./take-out.ts";

const priorities = {
  prefetch: FetchPriority.PREFETCH,
  ensure: FetchPriority.ENSURE,
  demand: FetchPriority.DEMAND,
};

/** How often an image is fetched that is gone again before it can be held. */
const bringTriesMax = 3;

interface FetchOptions extends GlobalOptions, TakeOutOptions {
  priority: keyof typeof priorities;
  hold?: boolean;
  lease?: string;
  holder: string;
}

/** `fetch IMAGE`, `cancel IMAGE` and `fetches`. */
export function addFetchCommands(program: Command, context: Context): void {
  program
    .command("fetch")
    .summary("make an image be on this node; prints its path")
    .description(
      "Asks the agent for an image and shows its way until it is ready; prints the local path. An image that is here " +
        "already answers at once. Ctrl-C ends this command, not the fetch: see `bootswarm fetches`. An image that is " +
        "not held may be evicted when others need its room: hold or lease it for as long as a VM uses its file.",
    )
    .argument("<image>", "name or sha256")
    .addOption(
      new Option("--priority <priority>", "place in the queue; demand goes first")
        .choices(Object.keys(priorities))
        .default("ensure"),
    )
    .addOption(
      new Option("--hold", "keep the image from removal and eviction until Ctrl-C ends this command").conflicts(
        "lease",
      ),
    )
    .option("--lease <duration>", "keep it for so long (90s, 15m, 2h, 7d); prints the lease's id in a second line")
    .option("--holder <name>", "who holds it, for people", "")
    .addOption(
      new Option(
        "--to <path>",
        "a file of it at PATH: a reflink copy where the file system has them, else a read-only hard link, else a copy",
      ).conflicts(["hold", "lease", "overlay"]),
    )
    .addOption(new Option("--copy <method>", "the only way to make that file").choices(copyMethods))
    .addOption(
      new Option(
        "--overlay <path>",
        "a qcow2 overlay on it at PATH, for a VM to write to; the image is pinned for it",
      ).conflicts(["hold", "lease"]),
    )
    .option("--force", "replace the file at PATH")
    .action((image: string, _options, command: Command) => fetchImage(context, image, command.optsWithGlobals()));
  program
    .command("cancel")
    .summary("cancel a fetch; what has arrived stays, to resume from")
    .argument("<image>", "name or sha256")
    .action((image: string, _options, command: Command) => cancelFetch(context, image, command.optsWithGlobals()));
  program
    .command("fetches")
    .summary("list the node's fetches: active, queued, and ended lately")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => listFetches(context, command.optsWithGlobals()));
}

/** Fetches an image, and keeps it as the options say. */
async function fetchImage(context: Context, image: string, options: FetchOptions): Promise<void> {
  const ttlMs = options.lease === undefined ? undefined : durationMsFrom(options.lease);
  const file = await takeOutFrom(options);
  for (let tries = 1; ; tries++) {
    const last = await bringImage(context, image, options);
    const digest = last.fetch?.digest ?? image;
    try {
      if (file) await takeOut(context, options, last, file);
      else if (options.hold) await holdImage(context, options, digest, options.holder);
      else if (ttlMs !== undefined) await takeLease(context, options, digest, { holder: options.holder, ttlMs });
      else
        showResult(context, options, toJson(EnsureImageResponseSchema, last, { alwaysEmitImplicit: true }), last.path);
      return;
    } catch (error) {
      // It may have been evicted since: rare, and soon mended.
      if (!(error instanceof ConnectError) || error.code !== Code.NotFound || tries === bringTriesMax) throw error;
    }
  }
}

/** Makes the image be here, and shows its way. */
async function bringImage(context: Context, image: string, options: FetchOptions): Promise<EnsureImageResponse> {
  const { service } = agentOf(options);
  const region = createLiveRegion(context.err, context.now);
  const style = errStyle(context);
  const viewOf = ({ fetch }: EnsureImageResponse) => {
    const transfer = fetch && transferOfFetch(fetch, image.length === 64 ? image.slice(0, 12) : image);
    return {
      lines: (width: number) => (transfer ? [renderTransfer(transfer, { width, style })] : []),
      plain: () => (transfer ? [describeTransfer(transfer)] : []),
    };
  };
  let last: EnsureImageResponse | undefined;
  try {
    const request = { image, priority: priorities[options.priority] };
    for await (const answer of service.ensureImage(request, { signal: context.signal })) {
      last = answer;
      region.draw(viewOf(answer));
    }
    if (last) region.finish(viewOf(last));
  } catch (error) {
    if (!context.signal.aborted || !last) throw error;
    region.clear();
    throw new CliError(
      `the fetch goes on in the agent: \`bootswarm fetches\` shows it, \`bootswarm cancel ${image}\` ends it`,
      { exitStatus: 130 },
    );
  } finally {
    region.clear();
  }
  if (!last?.fetch) throw incompleteAnswer("fetch");
  if (last.fetch.state === FetchState.CANCELLED) throw new CliError(`the fetch of ${image} was cancelled`);
  if (last.fetch.state !== FetchState.READY)
    throw new CliError(last.fetch.error || `the fetch of ${image} did not end`);
  return last;
}

async function cancelFetch(context: Context, image: string, options: GlobalOptions): Promise<void> {
  const answer = await agentOf(options).service.cancelFetch({ image }, { timeoutMs: answerMsMax });
  showResult(
    context,
    options,
    toJson(CancelFetchResponseSchema, answer, { alwaysEmitImplicit: true }),
    `cancelled the fetch of ${image}`,
  );
}

async function listFetches(context: Context, options: GlobalOptions & { watch?: boolean }): Promise<void> {
  const { service } = agentOf(options);
  await showReport(context, options, async () => {
    const answer = await service.listFetches({}, { timeoutMs: answerMsMax, signal: context.signal });
    return {
      json: toJson(ListFetchesResponseSchema, answer, { alwaysEmitImplicit: true }),
      sections: [
        { table: fetchesTable(answer.fetches), ifEmpty: "no fetches; ask for one with bootswarm fetch IMAGE" },
      ],
    };
  });
}
