import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { GetStatusResponseSchema } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { allNodes } from "../all-pages.ts";
import { CliError } from "../cli-error.ts";
import { agentOf, type Context, type GlobalOptions } from "../context.ts";
import { type DaemonAddress, daemonAddressesFrom } from "../daemon-address.ts";
import { cliErrorFrom } from "../daemon-errors.ts";
import { answerMsMax, seederAt } from "../daemons.ts";
import { type Report, type Section, showReport } from "../report.ts";
import { agentFacts, factsTable, seederFacts } from "../views/status.ts";

interface StatusOptions extends GlobalOptions {
  watch?: boolean;
}

/** One daemon's part of the status: its facts and JSON, or why it does not answer. */
type Part<T> = { facts: [string, string][]; json: T } | { error: CliError };

/** Longest readiness text read, in characters. */
const readinessLengthMax = 2_000;

/** `status`: the agent and the seeder, each as far as it answers. */
export function addStatusCommand(program: Command, context: Context): void {
  program
    .command("status")
    .summary("show how the agent and the seeder are")
    .description(
      "Shows this node's agent and the seeder: the one given by --seeder or BOOTSWARM_SEEDER, else the agent's own. " +
        "The exit status is 1 if neither answers.",
    )
    .option("-w, --watch", "go on showing changes")
    .action(async (_options, command: Command) => {
      const options = command.optsWithGlobals<StatusOptions>();
      const seederChosen = command.getOptionValueSourceWithGlobals("seeder") !== "default";
      await showReport(context, options, () => statusReport(context, options, seederChosen));
    });
}

async function statusReport(context: Context, options: StatusOptions, seederChosen: boolean): Promise<Report> {
  const agentPart = await orError(agentStatus(context, options));
  const own = "json" in agentPart ? agentPart.json.seederUrl : "";
  const seederUrl = seederChosen || own === "" ? options.seeder : own;
  const seederPart = await orError(seederStatus(context, daemonAddressesFrom("seeder", seederUrl)));
  if ("error" in agentPart && "error" in seederPart) {
    throw new CliError(`${agentPart.error.message} And ${seederPart.error.message}`);
  }
  return {
    json: {
      agent: "json" in agentPart ? agentPart.json.message : null,
      seeder: "json" in seederPart ? seederPart.json : null,
    },
    sections: [
      sectionOf(`Agent ${options.agent}`, agentPart),
      sectionOf(`Seeder ${"json" in seederPart ? seederPart.json.url : seederUrl}`, seederPart),
    ],
  };
}

async function agentStatus(context: Context, options: StatusOptions) {
  const status = await agentOf(options).service.getStatus({}, { timeoutMs: answerMsMax, signal: context.signal });
  return {
    facts: agentFacts(status, context.now()),
    json: {
      seederUrl: status.seederUrl,
      message: toJson(GetStatusResponseSchema, status, { alwaysEmitImplicit: true }),
    },
  };
}

async function seederStatus(context: Context, addresses: readonly DaemonAddress[]) {
  const seeder = seederAt(...addresses);
  const { catalog, inventory } = seeder;
  const call = { timeoutMs: answerMsMax, signal: context.signal };
  const [{ images }, { nodes }] = await Promise.all([catalog.listImages({}, call), allNodes(inventory, {}, call)]);
  const { address } = seeder;
  const readiness = await readinessOf(address, context.signal);
  return {
    facts: seederFacts(images, nodes, readiness),
    json: { url: address.url, readiness, images: images.length, nodes: nodes.length },
  };
}

/** What /readyz says: "ready", or "not ready: ..." with the reasons. */
async function readinessOf(address: DaemonAddress, signal: AbortSignal): Promise<string> {
  const connect = address.socketPath === undefined ? {} : { connect: { socketPath: address.socketPath } };
  // Loaded only here: most commands do without, and start sooner.
  const { Client } = await import("undici");
  const client = new Client(address.baseUrl, { ...connect, headersTimeout: answerMsMax, bodyTimeout: answerMsMax });
  try {
    const answer = await client.request({ method: "GET", path: "/readyz", signal });
    return (await answer.body.text()).trim().slice(0, readinessLengthMax);
  } catch (error) {
    throw new CliError(`the seeder at ${address.url} does not answer /readyz`, { cause: error });
  } finally {
    await client.destroy();
  }
}

async function orError<T>(part: Promise<{ facts: [string, string][]; json: T }>): Promise<Part<T>> {
  try {
    return await part;
  } catch (error) {
    const known = cliErrorFrom(error);
    if (!known) throw error;
    return { error: known };
  }
}

function sectionOf(title: string, part: Part<unknown>): Section {
  return { title, table: factsTable("error" in part ? [["answers", `no: ${part.error.message}`]] : part.facts) };
}
