import { toJson } from "@bufbuild/protobuf";
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
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfer } from "../progress.ts";
import { incompleteAnswer, showReport, showResult } from "../report.ts";
import { fetchesTable, transferOfFetch } from "../views/fetches.ts";

const priorities = {
  prefetch: FetchPriority.PREFETCH,
  ensure: FetchPriority.ENSURE,
  demand: FetchPriority.DEMAND,
};

interface FetchOptions extends GlobalOptions {
  priority: keyof typeof priorities;
}

/** `fetch IMAGE`, `cancel IMAGE` and `fetches`. */
export function addFetchCommands(program: Command, context: Context): void {
  program
    .command("fetch")
    .summary("make an image be on this node; prints its path")
    .description(
      "Asks the agent for an image and shows its way until it is ready; prints the local path. An image that is here " +
        "already answers at once. Ctrl-C ends this command, not the fetch: see `bootswarm fetches`.",
    )
    .argument("<image>", "name or sha256")
    .addOption(
      new Option("--priority <priority>", "place in the queue; demand goes first")
        .choices(Object.keys(priorities))
        .default("ensure"),
    )
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

async function fetchImage(context: Context, image: string, options: FetchOptions): Promise<void> {
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
  finishFetch(context, options, image, last);
}

function finishFetch(context: Context, options: GlobalOptions, image: string, last: EnsureImageResponse | undefined) {
  if (!last?.fetch) throw incompleteAnswer("fetch");
  if (last.fetch.state === FetchState.CANCELLED) throw new CliError(`the fetch of ${image} was cancelled`);
  if (last.fetch.state !== FetchState.READY)
    throw new CliError(last.fetch.error || `the fetch of ${image} did not end`);
  showResult(context, options, toJson(EnsureImageResponseSchema, last, { alwaysEmitImplicit: true }), last.path);
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
