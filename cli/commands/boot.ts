import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import { formatBytes } from "../../figures/units.ts";
import {
  type BootRecording,
  BootRecordingState,
  ListBootImagesResponseSchema,
  RecordBootResponseSchema,
  StopRecordingResponseSchema,
} from "../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import {
  GetBootProfileResponseSchema,
  ListImagesResponseSchema,
  RetireImageResponseSchema,
} from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { CliError, usageError } from "../cli-error.ts";
import { agentOf, type Context, type GlobalOptions, seederOf } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { durationMsFrom } from "../duration.ts";
import { createLiveRegion } from "../live-region.ts";
import { incompleteAnswer, showReport, showResult } from "../report.ts";
import {
  bootImagesTable,
  describeRecording,
  localBootImagesTable,
  profileTable,
  recordingsTable,
} from "../views/boot.ts";

const call = { timeoutMs: answerMsMax };
const complete = { alwaysEmitImplicit: true };

interface RecordOptions extends GlobalOptions {
  disk?: string;
  quiet?: string;
  bytes?: string;
}

/** `boot record|stop|list|show|rm`. */
export function addBootCommands(program: Command, context: Context): void {
  const boot = program.command("boot").summary("what images read when they boot, so that other nodes boot at once");
  boot
    .command("record")
    .summary("record a boot through a disk of this node, and publish its boot image")
    .description(
      "Notes what is read of an attached disk until the guest is up, and publishes those blocks as the image's boot image. " +
        "Attach the image, run this, and boot a VM from the disk. Agents record first boots by themselves unless " +
        "boot.record is off. Ctrl-C leaves the recording to the agent.",
    )
    .argument("<image>", "name or sha256")
    .option("--disk <name>", "the disk; otherwise the one attached last of the image")
    .option("--quiet <duration>", "the guest is up when it has read nothing new for so long, as in 30s")
    .option("--bytes <size>", "end with so many bytes, as in 80M")
    .action((image: string, _options, command: Command) => record(context, image, command.optsWithGlobals()));
  boot
    .command("stop")
    .summary("end a recording now, as when the guest's application has started")
    .argument("<image>", "name or sha256")
    .action((image: string, _options, command: Command) => stop(context, image, command.optsWithGlobals()));
  boot
    .command("list")
    .summary("list the catalog's boot images, or with --local this node's, and recordings")
    .option("-l, --local", "this node's boot images and recordings")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => list(context, command.optsWithGlobals()));
  boot
    .command("show")
    .summary("show what a boot of an image reads")
    .argument("<image>", "name or sha256")
    .action((image: string, _options, command: Command) => show(context, image, command.optsWithGlobals()));
  boot
    .command("rm")
    .summary("remove an image's boot image from the catalog, so that the next boot is recorded anew")
    .argument("<image>", "name or sha256")
    .action((image: string, _options, command: Command) => remove(context, image, command.optsWithGlobals()));
}

async function record(context: Context, image: string, options: RecordOptions): Promise<void> {
  const request = {
    image,
    disk: options.disk ?? "",
    quietMs: options.quiet === undefined ? 0 : durationMsFrom(options.quiet),
    bytesMax: options.bytes === undefined ? 0n : bytesFrom(options.bytes),
  };
  const region = createLiveRegion(context.err, context.now);
  const viewOf = (recording: BootRecording) => {
    const line = describeRecording(recording, image);
    return { lines: () => [line], plain: () => [line] };
  };
  let last: BootRecording | undefined;
  try {
    for await (const { recording } of agentOf(options).service.recordBoot(request, { signal: context.signal })) {
      last = recording;
      if (recording) region.draw(viewOf(recording));
    }
    if (last) region.finish(viewOf(last));
  } finally {
    region.clear();
  }
  if (last?.state === BootRecordingState.FAILED) throw new CliError(`no boot of ${image} was recorded: ${last.error}`);
  if (last?.state !== BootRecordingState.PUBLISHED) throw incompleteAnswer("end of the recording");
  const answer = { $typeName: RecordBootResponseSchema.typeName, recording: last };
  showResult(context, options, toJson(RecordBootResponseSchema, answer, complete), describeRecording(last, image));
}

async function stop(context: Context, image: string, options: GlobalOptions): Promise<void> {
  const answer = await agentOf(options).service.stopRecording({ image }, call);
  const line = `the recording of ${image} ends with ${formatBytes(answer.recording?.blockBytes ?? 0n)}`;
  showResult(context, options, toJson(StopRecordingResponseSchema, answer, complete), line);
}

async function list(context: Context, options: GlobalOptions & { local?: boolean; watch?: boolean }): Promise<void> {
  await showReport(context, options, () =>
    options.local ? localReport(context, options) : catalogReport(context, options),
  );
}

async function catalogReport(context: Context, options: GlobalOptions) {
  const answer = await seederOf(options).catalog.listImages({}, { ...call, signal: context.signal });
  const { images } = answer;
  const bootImages = images.filter(({ format }) => format === ImageFormat.BOOT);
  return {
    json: toJson(ListImagesResponseSchema, { ...answer, images: bootImages }, complete),
    sections: [
      {
        table: bootImagesTable(images, context.now()),
        ifEmpty: "no boot images yet; an image's first boot from an attached disk is recorded (bootswarm disk attach)",
      },
    ],
  };
}

async function localReport(context: Context, options: GlobalOptions) {
  const { service } = agentOf(options);
  const each = { ...call, signal: context.signal };
  const [answer, { images }] = await Promise.all([service.listBootImages({}, each), service.listImages({}, each)]);
  const names = new Map(images.map((image) => [image.digest, image.names]));
  return {
    json: toJson(ListBootImagesResponseSchema, answer, complete),
    sections: [
      { title: "Boot images", table: localBootImagesTable(answer, names), ifEmpty: "no boot images on this node yet" },
      { title: "Recordings", table: recordingsTable(answer.recordings, names, context.now()) },
    ].filter(({ title, table }) => title === "Boot images" || table.rows.length > 0),
  };
}

async function show(context: Context, image: string, options: GlobalOptions): Promise<void> {
  await showReport(context, options, async () => {
    const answer = await seederOf(options).catalog.getBootProfile({ image }, { ...call, signal: context.signal });
    return {
      json: toJson(GetBootProfileResponseSchema, answer, complete),
      sections: [{ table: profileTable(answer, context.now()) }],
    };
  });
}

async function remove(context: Context, image: string, options: GlobalOptions): Promise<void> {
  const { catalog } = seederOf(options);
  const { image: found } = await catalog.getImage({ image }, call);
  if (!found) throw incompleteAnswer("image");
  const answer = await catalog.retireImage({ image: `${found.digest}.boot` }, call).catch((error: unknown) => {
    // The catalog speaks of the name under which it keeps boot images, which nobody has typed.
    if (ConnectError.from(error).code !== Code.NotFound) throw error;
    throw new CliError(`${image} has no boot image; \`bootswarm boot list\` shows those that there are`);
  });
  const line = `removed the boot image of ${image}; its next boot from an attached disk is recorded`;
  showResult(context, options, toJson(RetireImageResponseSchema, answer, complete), line);
}

const unitBytes: Record<string, number> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

function bytesFrom(text: string): bigint {
  const match = /^(\d{1,12})([KMG]?)$/i.exec(text);
  const bytes = match ? Number(match[1]) * (unitBytes[(match[2] as string).toUpperCase()] as number) : 0;
  if (bytes === 0) throw usageError(`"${text}" is no size; write 80M, 1G or a number of bytes`);
  return BigInt(bytes);
}
