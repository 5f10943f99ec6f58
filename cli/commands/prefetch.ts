import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  GetPlanResponseSchema,
  GetPrefetchResponseSchema,
  ListPopularityResponseSchema,
  ListPrefetchesResponseSchema,
  type Prefetch,
  PrefetchSchema,
  PrefetchState,
} from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { CliError, usageError } from "../cli-error.ts";
import { type Context, errStyle, type GlobalOptions, seederOf } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { createLiveRegion } from "../live-region.ts";
import { namesOfNodes } from "../node-names.ts";
import { incompleteAnswer, showReport, showResult } from "../report.ts";
import {
  describePlan,
  planSections,
  popularityTable,
  prefetchesTable,
  prefetchLines,
  prefetchNodesTable,
  prefetchPlainLines,
} from "../views/prefetches.ts";

interface PrefetchOptions extends GlobalOptions {
  nodes?: string[];
  zone?: string;
  count?: number;
  all?: boolean;
  wait?: boolean;
}

interface ListOptions extends GlobalOptions {
  watch?: boolean;
  cancel?: boolean;
}

interface ZoneOptions extends GlobalOptions {
  zone?: string;
  limit?: number;
  watch?: boolean;
}

const complete = { alwaysEmitImplicit: true };
/** Failures that an error names. */
const failuresNamedMax = 3;

/** `prefetch IMAGE`, `prefetches [ID]`, `popularity` and `plan`. */
export function addPrefetchCommands(program: Command, context: Context): void {
  program
    .command("prefetch")
    .summary("have an image brought to nodes before it is asked for there")
    .description(
      "Tells the seeder which nodes are to have an image; they fetch it when nothing that is asked for needs their link. " +
        "Prints the prefetch's id. It goes on though nobody watches: see `bootswarm prefetches`.",
    )
    .argument("<image>", "name or sha256")
    .option("--nodes <names>", "these nodes, names or ids, separated by commas", namesOfNodes)
    .option("--zone <zone>", "the nodes of this zone")
    .option("-n, --count <number>", "so many nodes, of the zone or of all, those that have it included", countFrom)
    .option("--all", "every node")
    .option("--wait", "show its way until all of them have it; Ctrl-C ends this command, not the prefetch")
    .action((image: string, _options, command: Command) => prefetch(context, image, command.optsWithGlobals()));
  program
    .command("prefetches")
    .summary("list what was started by `prefetch`, or show one of them node by node")
    .argument("[id]", "the prefetch")
    .option("-w, --watch", "go on showing changes")
    .option("--cancel", "end it: nodes drop what is on its way, and keep what has come")
    .action((id: string | undefined, _options, command: Command) =>
      listPrefetches(context, id, command.optsWithGlobals()),
    );
  program
    .command("popularity")
    .summary("list images by how often they are launched")
    .option("--zone <zone>", "launches on the nodes of this zone")
    .option("-n, --limit <number>", "so many images (default: 20)", countFrom)
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => listPopularity(context, command.optsWithGlobals()));
  program
    .command("plan")
    .summary("show what popularity lets the seeder bring where ahead of need")
    .option("--zone <zone>", "the plan of this zone")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => showPlan(context, command.optsWithGlobals()));
}

async function prefetch(context: Context, image: string, options: PrefetchOptions): Promise<void> {
  const { nodes = [], zone = "", count = 0, all = false } = options;
  const isChosen = zone !== "" || options.count !== undefined;
  if (nodes.length === 0 && !isChosen && !all) {
    throw usageError("say which nodes: --nodes A,B, --zone ZONE, --count NUMBER, or --all");
  }
  if (nodes.length > 0 && (isChosen || all)) throw usageError("--nodes goes with none of --zone, --count and --all");
  if (options.count === 0) throw usageError("--count: write a number from 1");
  const { prefetch: service } = seederOf(options);
  const call = { timeoutMs: answerMsMax, signal: context.signal };
  const { prefetch: started } = await service.startPrefetch({ image, nodes, zone, count }, call);
  if (!started) throw incompleteAnswer("prefetch");
  const ended = options.wait ? await follow(context, started, options) : started;
  showResult(context, options, toJson(PrefetchSchema, ended, complete), ended.id);
  if (options.wait && ended.state !== PrefetchState.DONE) throw new CliError(shortfallOf(ended));
}

/** Shows a prefetch until it has ended. */
async function follow(context: Context, started: Prefetch, options: GlobalOptions): Promise<Prefetch> {
  const { prefetch: service } = seederOf(options);
  const region = createLiveRegion(context.err, context.now);
  const style = errStyle(context);
  const viewOf = (prefetch: Prefetch) => ({
    lines: (width: number) => prefetchLines(prefetch, { width, style }),
    plain: () => prefetchPlainLines(prefetch),
  });
  let last = started;
  try {
    for await (const answer of service.watchPrefetch({ id: started.id }, { signal: context.signal })) {
      last = answer.prefetch ?? last;
      region.draw(viewOf(last));
    }
    region.finish(viewOf(last));
    return last;
  } catch (error) {
    if (!context.signal.aborted) throw error;
    region.clear();
    const { id } = started;
    throw new CliError(
      `the prefetch goes on: \`bootswarm prefetches ${id}\` shows it, \`bootswarm prefetches ${id} --cancel\` ends it`,
      { exitStatus: 130 },
    );
  } finally {
    region.clear();
  }
}

function shortfallOf({ id, state, nodes, nodesReady, nodesWanted }: Prefetch): string {
  if (state === PrefetchState.CANCELLED) return `prefetch ${id} was cancelled`;
  const failed = nodes.filter(({ error }) => error !== "");
  const named = failed.slice(0, failuresNamedMax).map(({ nodeName, error }) => `${nodeName}: ${error}`);
  const more =
    failed.length > named.length ? ` (${failed.length - named.length} more: bootswarm prefetches ${id})` : "";
  return `${nodesReady} of ${nodesWanted} nodes have the image; ${named.join("; ")}${more}`;
}

async function listPrefetches(context: Context, id: string | undefined, options: ListOptions): Promise<void> {
  const { prefetch: service } = seederOf(options);
  const call = { timeoutMs: answerMsMax, signal: context.signal };
  if (options.cancel) {
    if (id === undefined) throw usageError("--cancel: name the prefetch, as in `bootswarm prefetches ID --cancel`");
    const { prefetch: ended } = await service.cancelPrefetch({ id }, call);
    if (!ended) throw incompleteAnswer("prefetch");
    const json = toJson(PrefetchSchema, ended, complete);
    return showResult(context, options, json, `cancelled prefetch ${id}; ${ended.nodesReady} nodes have the image`);
  }
  await showReport(context, options, async () => {
    if (id === undefined) {
      const answer = await service.listPrefetches({}, call);
      const ifEmpty = "no prefetches; start one with bootswarm prefetch IMAGE --count NUMBER";
      return {
        json: toJson(ListPrefetchesResponseSchema, answer, complete),
        sections: [{ table: prefetchesTable(answer.prefetches, context.now()), ifEmpty }],
      };
    }
    const answer = await service.getPrefetch({ id }, call);
    if (!answer.prefetch) throw incompleteAnswer("prefetch");
    return {
      json: toJson(GetPrefetchResponseSchema, answer, complete),
      sections: [
        { table: prefetchesTable([answer.prefetch], context.now()) },
        { title: "Nodes", table: prefetchNodesTable(answer.prefetch) },
      ],
    };
  });
}

async function listPopularity(context: Context, options: ZoneOptions): Promise<void> {
  const { prefetch: service } = seederOf(options);
  const { zone, limit = 20 } = options;
  await showReport(context, options, async () => {
    const call = { timeoutMs: answerMsMax, signal: context.signal };
    const answer = await service.listPopularity({ ...(zone !== undefined && { zone }), limit }, call);
    const ifEmpty = "no launches yet; schedulers tell of them by RecordLaunch, and nodes by what is asked of them";
    return {
      json: toJson(ListPopularityResponseSchema, answer, complete),
      sections: [{ table: popularityTable(answer), ifEmpty }],
    };
  });
}

async function showPlan(context: Context, options: ZoneOptions): Promise<void> {
  const { prefetch: service } = seederOf(options);
  const { zone } = options;
  await showReport(context, options, async () => {
    const call = { timeoutMs: answerMsMax, signal: context.signal };
    const answer = await service.getPlan(zone === undefined ? {} : { zone }, call);
    return { json: toJson(GetPlanResponseSchema, answer, complete), sections: planSections(answer, context.now()) };
  });
  if (!options.json && !options.watch) {
    const { mode } = await service.getPlan({ zone: zone ?? "" }, { timeoutMs: answerMsMax, signal: context.signal });
    context.err.write(`${describePlan(mode)}\n`);
  }
}

function countFrom(text: string): number {
  const count = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(count)) throw usageError(`"${text}" is no number from 0 to 99999`);
  return count;
}
