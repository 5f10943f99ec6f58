import { toJson } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import {
  GetNodeResponseSchema,
  ListHoldingsResponseSchema,
  ListNodesResponseSchema,
  NodeState,
} from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { allHoldings, allNodes } from "../all-pages.ts";
import { type Context, type GlobalOptions, seederOf } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { incompleteAnswer, showReport } from "../report.ts";
import { fetchesTable } from "../views/fetches.ts";
import { holderSections, nodeSections } from "../views/node-crowd.ts";
import { holdersTable, holdingsOfNodeTable, nodesTable } from "../views/nodes.ts";

interface WatchOptions extends GlobalOptions {
  watch?: boolean;
}

interface HoldingsOptions extends WatchOptions {
  all?: boolean;
}

interface NodesOptions extends HoldingsOptions {
  zone?: string;
  state?: keyof typeof states;
}

const states = { up: NodeState.UP, lost: NodeState.LOST } as const;
const complete = { alwaysEmitImplicit: true };

/** `nodes`, `node NODE` and `holdings IMAGE`. */
export function addNodeCommands(program: Command, context: Context): void {
  program
    .command("nodes")
    .summary("list the nodes that report to the seeder")
    .option("--zone <zone>", "only nodes of this zone")
    .addOption(new Option("--state <state>", "only nodes that are up, or lost").choices(["up", "lost"]))
    .option("-a, --all", "list every node on a terminal too, where many are summed up by zone otherwise")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => listNodes(context, command.optsWithGlobals()));
  program
    .command("node")
    .summary("show what one node has and what is on its way to it")
    .argument("<node>", "name or id")
    .option("-w, --watch", "go on showing changes")
    .action((node: string, _options, command: Command) => getNode(context, node, command.optsWithGlobals()));
  program
    .command("holdings")
    .summary("show which nodes have an image, and which are fetching it")
    .argument("<image>", "name or sha256")
    .option("-a, --all", "list every node on a terminal too, where the first of many are shown otherwise")
    .option("-w, --watch", "go on showing changes")
    .action((image: string, _options, command: Command) => listHoldings(context, image, command.optsWithGlobals()));
}

async function listNodes(context: Context, options: NodesOptions): Promise<void> {
  const { inventory } = seederOf(options);
  const { zone = "", state } = options;
  const asked = { zone, ...(state && { state: states[state] }) };
  const isSome = zone !== "" || state !== undefined;
  const ifEmpty = isSome
    ? "no such nodes"
    : "no nodes yet; start an agent with bootswarm agent --seeder URL --state DIR";
  await showReport(context, options, async () => {
    const answer = await allNodes(inventory, asked, { timeoutMs: answerMsMax, signal: context.signal });
    const isFull = isSome || options.all || !context.out.isTTY;
    return {
      json: toJson(ListNodesResponseSchema, answer, complete),
      sections: isFull
        ? [{ table: nodesTable(answer.nodes, context.now()), ifEmpty }]
        : nodeSections(answer.nodes, context.now(), ifEmpty),
    };
  });
}

async function getNode(context: Context, node: string, options: WatchOptions): Promise<void> {
  const { inventory, catalog } = seederOf(options);
  await showReport(context, options, async () => {
    const call = { timeoutMs: answerMsMax, signal: context.signal };
    const [answer, { images }] = await Promise.all([inventory.getNode({ node }, call), catalog.listImages({}, call)]);
    if (!answer.node) throw incompleteAnswer("node");
    const names = new Map(images.map((image) => [image.digest, image.names]));
    return {
      json: toJson(GetNodeResponseSchema, answer, complete),
      sections: [
        { title: "Node", table: nodesTable([answer.node], context.now()) },
        {
          title: "Images",
          table: holdingsOfNodeTable(answer.holdings, names, context.now()),
          ifEmpty: "no images on this node yet",
        },
        { title: "Fetches", table: fetchesTable(answer.fetches, names), ifEmpty: "nothing on its way to this node" },
      ],
    };
  });
}

async function listHoldings(context: Context, image: string, options: HoldingsOptions): Promise<void> {
  const { inventory } = seederOf(options);
  const ifEmpty = "no node has the image or is fetching it";
  await showReport(context, options, async () => {
    const answer = await allHoldings(inventory, { image }, { timeoutMs: answerMsMax, signal: context.signal });
    return {
      json: toJson(ListHoldingsResponseSchema, answer, complete),
      sections:
        options.all || !context.out.isTTY
          ? [{ table: holdersTable(answer.nodes, context.now()), ifEmpty }]
          : holderSections(answer.nodes, context.now(), ifEmpty),
    };
  });
}
