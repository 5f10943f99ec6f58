import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  type ScrubImageResponse,
  ScrubImageResponseSchema,
  ScrubState,
} from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { CliError } from "../cli-error.ts";
import { agentOf, type Context, errStyle, type GlobalOptions } from "../context.ts";
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfer, type Transfer } from "../progress.ts";
import { createRateMeter, type RateMeter } from "../rate-meter.ts";
import { incompleteAnswer, showResult } from "../report.ts";
import { transferOfFetch } from "../views/fetches.ts";

/** `scrub IMAGE`. */
export function addScrubCommand(program: Command, context: Context): void {
  program
    .command("scrub")
    .summary("check a cached image's bytes, and fetch again what is wrong")
    .description(
      "Reads an image of this node's cache and compares it with its hashes, as fast as the disk gives. What is wrong is " +
        "fetched again, and the image is not ready until then. The agent does the same by itself, slowly: see `scrub` in " +
        "its configuration. Ctrl-C ends the check, not a repair.",
    )
    .argument("<image>", "name or sha256")
    .action((image: string, _options, command: Command) => scrub(context, image, command.optsWithGlobals()));
}

async function scrub(context: Context, image: string, options: GlobalOptions): Promise<void> {
  const region = createLiveRegion(context.err, context.now);
  const style = errStyle(context);
  const meter = createRateMeter(context.now());
  const viewOf = (answer: ScrubImageResponse) => {
    const transfer = transferOf(answer, image, meter, context.now());
    return {
      lines: (width: number) => [renderTransfer(transfer, { width, style })],
      plain: () => [describeTransfer(transfer)],
    };
  };
  let last: ScrubImageResponse | undefined;
  try {
    for await (const answer of agentOf(options).service.scrubImage({ image }, { signal: context.signal })) {
      last = answer;
      region.draw(viewOf(answer));
    }
    if (last) region.finish(viewOf(last));
  } finally {
    region.clear();
  }
  if (last?.state === ScrubState.FAILED) {
    const why = last.fetch?.error || "the repair was cancelled";
    throw new CliError(`${image} is damaged (${last.damage}) and could not be repaired: ${why}`);
  }
  if (last?.state !== ScrubState.SOUND) throw incompleteAnswer("end of the scrub");
  const line = last.damage === "" ? `${image} is sound` : `${image} was damaged (${last.damage}) and is repaired`;
  showResult(context, options, toJson(ScrubImageResponseSchema, last, { alwaysEmitImplicit: true }), line);
}

function transferOf(answer: ScrubImageResponse, image: string, meter: RateMeter, nowMs: number): Transfer {
  if (answer.fetch) {
    const transfer = transferOfFetch(answer.fetch, image);
    return { ...transfer, notes: [`repairing: ${answer.damage}`, ...transfer.notes] };
  }
  const doneBytes = Number(answer.doneBytes);
  meter.note(doneBytes, nowMs);
  return {
    label: image,
    doneBytes,
    totalBytes: Number(answer.sizeBytes),
    bytesPerSecond: meter.rate(),
    notes: ["checking"],
    state: answer.state === ScrubState.SOUND ? "sound" : undefined,
  };
}
