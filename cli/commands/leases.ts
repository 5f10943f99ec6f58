import { toJson } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import { formatSeconds } from "../../figures/units.ts";
import {
  AcquireLeaseResponseSchema,
  type HoldImageResponse,
  HoldImageResponseSchema,
  type Lease,
  ListLeasesResponseSchema,
  ReleaseLeaseResponseSchema,
  RenewLeaseResponseSchema,
} from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { CliError } from "../cli-error.ts";
import { agentOf, type Context, errStyle, type GlobalOptions } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { durationMsFrom } from "../duration.ts";
import { showReport, showResult } from "../report.ts";
import { leasesTable } from "../views/leases.ts";

/** How long to look for an agent that has gone, as while it is restarted: it keeps the lease for a minute. */
const returnMsMax = 60_000;
const returnIntervalMs = 500;

const call = { timeoutMs: answerMsMax };
const complete = { alwaysEmitImplicit: true };

/** `leases`, `renew ID DURATION` and `release ID`. */
export function addLeaseCommands(program: Command, context: Context): void {
  program
    .command("leases")
    .summary("list what keeps images from being removed or evicted")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => listLeases(context, command.optsWithGlobals()));
  program
    .command("renew")
    .summary("make a lease last longer, from now")
    .argument("<lease>", "the lease's id")
    .argument("<duration>", "as in 90s, 15m, 2h or 7d")
    .action((id: string, duration: string, _options, command: Command) =>
      renew(context, id, duration, command.optsWithGlobals()),
    );
  program
    .command("release")
    .summary("end a lease, so that its image may be removed or evicted")
    .argument("<lease>", "the lease's id, as printed by bootswarm fetch --lease")
    .action((id: string, _options, command: Command) => release(context, id, command.optsWithGlobals()));
}

async function listLeases(context: Context, options: GlobalOptions & { watch?: boolean }): Promise<void> {
  const { service } = agentOf(options);
  await showReport(context, options, async () => {
    const answer = await service.listLeases({}, { ...call, signal: context.signal });
    const ifEmpty = "no leases; bootswarm fetch --lease DURATION or --hold takes one";
    return {
      json: toJson(ListLeasesResponseSchema, answer, complete),
      sections: [{ table: leasesTable(answer.leases, context.now()), ifEmpty }],
    };
  });
}

async function renew(context: Context, id: string, duration: string, options: GlobalOptions): Promise<void> {
  const ttlMs = BigInt(durationMsFrom(duration));
  const answer = await agentOf(options).service.renewLease({ id, ttlMs }, call);
  const json = toJson(RenewLeaseResponseSchema, answer, complete);
  showResult(context, options, json, `renewed lease ${id}; it ends in ${endsIn(answer.lease, context.now())}`);
}

async function release(context: Context, id: string, options: GlobalOptions): Promise<void> {
  const answer = await agentOf(options).service.releaseLease({ id }, call);
  const image = answer.lease?.names[0] ?? answer.lease?.digest.slice(0, 12) ?? "its image";
  const json = toJson(ReleaseLeaseResponseSchema, answer, complete);
  showResult(context, options, json, `released lease ${id} of ${image}`);
}

/** Takes a lease on an image that is here; prints its path and, in a second line, the lease's id. */
export async function takeLease(context: Context, options: GlobalOptions, digest: string, lease: LeaseWish) {
  const { service } = agentOf(options);
  const answer = await service.acquireLease({ image: digest, holder: lease.holder, ttlMs: BigInt(lease.ttlMs) }, call);
  const json = toJson(AcquireLeaseResponseSchema, answer, complete);
  showResult(context, options, json, `${answer.path}\n${answer.lease?.id}`);
  const note = `leased for ${endsIn(answer.lease, context.now())}; \`bootswarm release ${answer.lease?.id}\` ends it`;
  context.err.write(`${errStyle(context).dim(note)}\n`);
}

export interface LeaseWish {
  holder: string;
  ttlMs: number;
}

/**
 * Holds an image that is here until Ctrl-C, which is the normal end; prints its path once it is held. An agent that is
 * restarted meanwhile is looked for, and the lease taken up again.
 */
export async function holdImage(context: Context, options: GlobalOptions, digest: string, holder: string) {
  const { service } = agentOf(options);
  const { signal } = context;
  let held: HoldImageResponse | undefined;
  for (let lostMs: number | undefined; !signal.aborted; ) {
    try {
      const leaseId = held?.lease?.id ?? "";
      for await (const answer of service.holdImage({ image: digest, holder, leaseId }, { signal })) {
        if (!held) showHeld(context, options, answer);
        else if (lostMs !== undefined) note(context, "the agent is back; the image is held again");
        held = answer;
        lostMs = undefined;
      }
      throw new ConnectError("the agent ended the call", Code.Unavailable);
    } catch (error) {
      if (signal.aborted) return;
      if (!held || !mayPass(error)) throw error;
      if (lostMs === undefined) note(context, "the agent is away; looking for it");
      lostMs ??= context.now();
      if (context.now() - lostMs > returnMsMax) throw error;
      await pause(returnIntervalMs, signal);
    }
  }
}

function showHeld(context: Context, options: GlobalOptions, answer: HoldImageResponse): void {
  showResult(context, options, toJson(HoldImageResponseSchema, answer, complete), answer.path);
  note(context, "held until Ctrl-C");
}

function note(context: Context, text: string): void {
  context.err.write(`${errStyle(context).dim(text)}\n`);
}

/** Whether an error of a call may be that of an agent that is being restarted: only what it says itself is final. */
function mayPass(error: unknown): boolean {
  const final = [
    Code.NotFound,
    Code.FailedPrecondition,
    Code.InvalidArgument,
    Code.ResourceExhausted,
    Code.Unimplemented,
  ];
  return error instanceof ConnectError ? !final.includes(error.code) : error instanceof CliError;
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done);
  });
}

function endsIn(lease: Lease | undefined, nowMs: number): string {
  return lease?.expiresAt
    ? formatSeconds(Math.max(0, Math.round((timestampMs(lease.expiresAt) - nowMs) / 1_000)))
    : "-";
}
