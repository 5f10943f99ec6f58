import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  HostReason,
  type HostWeight,
  type RecordLaunchResponse,
  RecordLaunchResponseSchema,
  type WeighHostsResponse,
  WeighHostsResponseSchema,
} from "../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { CliError, usageError } from "../cli-error.ts";
import { type Context, errStyle, type GlobalOptions, outStyle, seederOf } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { renderTable } from "../table.ts";
import { describeCounts, hostWeightsTable, plainStyle } from "../views/placement.ts";

interface PlaceOptions extends GlobalOptions {
  hosts?: string[];
  zone?: string;
  count?: number;
  explain?: boolean;
  record?: boolean;
  launchId?: string;
  quiet?: boolean;
}

/** Hosts shown where none were named; of thousands nobody reads all. */
const countDefault = 20;
const countMax = 1_000_000;

const complete = { alwaysEmitImplicit: true };

/** `place IMAGE`. */
export function addPlaceCommand(program: Command, context: Context): void {
  program
    .command("place")
    .summary("say on which host an image's next virtual machine had best be started")
    .description(
      "Weighs hosts by whether the image is cached there, how soon it will be if it is on its way, and what was started " +
        "there of late. The best comes first, equals in random order. Nothing is started.",
    )
    .argument("<image>", "name or sha256")
    .option(
      "--hosts <names>",
      "weigh these hosts, names or ids, separated by commas (otherwise all nodes that are up)",
      hostsFrom,
    )
    .option("--zone <zone>", "only hosts of this zone")
    .option(
      "-n, --count <number>",
      `show so many of the best; 0: all (default: ${countDefault}, or all of --hosts)`,
      countFrom,
    )
    .option("-x, --explain", "show the figures that each weight is made of")
    .option("-q, --quiet", "print the best host's name and nothing else")
    .option("--record", "tell the seeder that a virtual machine is started on the best host")
    .option("--launch-id <id>", "with --record: what the launch is called, so that it does not count twice")
    .action((image: string, _options, command: Command) => place(context, image, command.optsWithGlobals()));
}

async function place(context: Context, image: string, options: PlaceOptions): Promise<void> {
  if (options.launchId !== undefined && !options.record) throw usageError("--launch-id goes with --record");
  const { placement } = seederOf(options);
  const call = { timeoutMs: answerMsMax, signal: context.signal };
  const count = options.quiet ? 1 : (options.count ?? (options.hosts ? 0 : countDefault));
  const answer = await placement.weighHosts(
    { image, hosts: options.hosts ?? [], options: { zone: options.zone ?? "", count } },
    call,
  );
  const best = usableHost(answer);
  let launch: RecordLaunchResponse | undefined;
  if (options.record && best) {
    const host = best.details?.nodeId || best.host;
    launch = await placement.recordLaunch({ image: answer.digest, host, launchId: options.launchId ?? "" }, call);
  }
  if (options.json) writeJson(context, answer, launch);
  else if (options.quiet) context.out.write(best ? `${best.host}\n` : "");
  else writeTable(context, answer, options.explain ?? false);
  if (!best) throw new CliError(noHostMessage(answer, options));
  if (launch && !options.quiet && !options.json) {
    const said = launch.counted ? `recorded a launch on ${best.host}` : "this launch was recorded before";
    context.err.write(`${errStyle(context).dim(said)}\n`);
  }
}

/** The best host, if anything can be started there by what the seeder knows. */
function usableHost({ hosts }: WeighHostsResponse): HostWeight | undefined {
  const [best] = hosts;
  return best && best.reason !== HostReason.UNKNOWN && best.reason !== HostReason.LOST ? best : undefined;
}

function noHostMessage(answer: WeighHostsResponse, options: PlaceOptions): string {
  const zone = options.zone ? ` of zone ${options.zone}` : "";
  if (answer.hosts.length === 0) {
    return options.hosts
      ? `none of these hosts is a node${zone}`
      : `no node${zone} is up; \`bootswarm nodes\` lists them`;
  }
  return `no agent reports from any of these hosts${zone}; \`bootswarm nodes\` lists those that report`;
}

function writeJson(context: Context, answer: WeighHostsResponse, launch: RecordLaunchResponse | undefined): void {
  const json = toJson(WeighHostsResponseSchema, answer, complete) as object;
  const recorded = launch ? { launch: toJson(RecordLaunchResponseSchema, launch, complete) } : {};
  context.out.write(`${JSON.stringify({ ...json, ...recorded }, undefined, 2)}\n`);
}

function writeTable(context: Context, answer: WeighHostsResponse, explain: boolean): void {
  const bars = context.out.isTTY && !explain ? plainStyle(context.env) : undefined;
  const table = hostWeightsTable(answer.hosts, { bars, explain });
  const width = context.out.isTTY ? context.out.columns : undefined;
  if (answer.hosts.length > 0) {
    for (const line of renderTable(table, { width, style: outStyle(context) })) context.out.write(`${line}\n`);
  }
  const counts = describeCounts(answer.counts);
  context.err.write(`${errStyle(context).dim(counts)}\n`);
}

function hostsFrom(text: string, earlier: string[] = []): string[] {
  const hosts = text
    .split(",")
    .map((host) => host.trim())
    .filter((host) => host !== "");
  if (hosts.length === 0) throw usageError("--hosts: name at least one host");
  return [...earlier, ...hosts];
}

function countFrom(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(count <= countMax)) throw usageError(`--count: "${text}" is no number of hosts`);
  return count;
}
