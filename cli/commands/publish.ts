import { basename } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { formatRate, formatSeconds } from "../../figures/units.ts";
import { ImageSchema } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { CreateTorrentResponseSchema } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { usageError } from "../cli-error.ts";
import { type Context, errStyle, type GlobalOptions, seederOf } from "../context.ts";
import { durationMsFrom } from "../duration.ts";
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfer, type Transfer } from "../progress.ts";
import { createRateMeter } from "../rate-meter.ts";
import { awaitReplicas, checkReplicas, replicasFrom } from "../replication.ts";
import { incompleteAnswer, showResult } from "../report.ts";
import { uploadImage } from "../upload.ts";

interface PublishOptions extends GlobalOptions {
  name: string;
  sha256?: string;
  torrent: boolean;
  replicas: string;
  replicasTimeout: string;
}

/** `publish FILE` and `torrent NAME`. */
export function addPublishCommands(program: Command, context: Context): void {
  program
    .command("publish")
    .summary("upload an image file and put it into the swarm")
    .description(
      "Uploads FILE to the seeder under a name. Its sha256 and its torrent are made while the bytes arrive, so every " +
        "node can fetch it as soon as this command ends. Prints the digest and the magnet link.",
    )
    .argument("<file>", "a raw or qcow2 image")
    .requiredOption("-n, --name <name>", "name to publish under, such as debian-12")
    .option("--sha256 <digest>", "refuse the image unless it has this sha256")
    .option("--no-torrent", "publish without a torrent: nodes fetch it by HTTP until `bootswarm torrent` makes one")
    .option("--replicas <n>", "end when so many seeders hold the image", "1")
    .option("--replicas-timeout <time>", "how long to wait for that", "10m")
    .action((file: string, _options, command: Command) => publish(context, file, command.optsWithGlobals()));
  program
    .command("torrent")
    .summary("make the torrent of an image that has none")
    .description("Makes the torrent of an image that was published with --no-torrent, and seeds it.")
    .argument("<image>", "name or sha256")
    .action((image: string, _options, command: Command) => createTorrent(context, image, command.optsWithGlobals()));
}

async function publish(context: Context, file: string, options: PublishOptions): Promise<void> {
  const sha256 = options.sha256?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) {
    throw usageError(`--sha256 "${options.sha256}" is no sha256; it has 64 hex digits`);
  }
  const replicas = replicasFrom(options.replicas);
  const timeoutMs = durationMsFrom(options.replicasTimeout);
  const seeder = seederOf(options);
  await checkReplicas(seeder, replicas, context.signal);
  const address = await seeder.find(context.signal);
  const region = createLiveRegion(context.err, context.now);
  const startMs = context.now();
  const meter = createRateMeter(startMs);
  const transfer: Transfer = {
    label: basename(file),
    doneBytes: 0,
    totalBytes: undefined,
    bytesPerSecond: 0,
    notes: [],
  };
  const style = errStyle(context);
  const view = {
    lines: (width: number) => [renderTransfer(transfer, { width, style })],
    plain: () => [describeTransfer(transfer)],
  };
  try {
    const image = await uploadImage(address, {
      path: file,
      name: options.name,
      sha256,
      torrent: options.torrent,
      signal: context.signal,
      onSent: (sentBytes, sizeBytes) => {
        meter.note(sentBytes, context.now());
        transfer.doneBytes = sentBytes;
        transfer.totalBytes = sizeBytes;
        transfer.bytesPerSecond = meter.rate();
        transfer.etaSeconds = meter.rate() > 0 ? (sizeBytes - sentBytes) / meter.rate() : undefined;
        transfer.state = sentBytes === sizeBytes ? "the seeder finishes" : undefined;
        region.draw(view);
      },
    });
    const seconds = (context.now() - startMs) / 1000;
    transfer.state = `published in ${formatSeconds(seconds)}`;
    transfer.notes = [formatRate(transfer.doneBytes / Math.max(seconds, 0.001))];
    region.finish(view);
    const held = replicas > 1 ? await awaitReplicas(context, seeder, image, { replicas, timeoutMs }) : image.replicas;
    const magnet = image.magnetUri || "(none: nodes fetch it by HTTP)";
    showResult(
      context,
      options,
      toJson(ImageSchema, { ...image, replicas: held }, { alwaysEmitImplicit: true }),
      `sha256  ${image.digest}\nmagnet  ${magnet}`,
    );
  } finally {
    region.clear();
  }
}

async function createTorrent(context: Context, image: string, options: GlobalOptions): Promise<void> {
  // No time limit: the whole image is read, and it may be large.
  const answer = await seederOf(options).catalog.createTorrent({ image }, { signal: context.signal });
  if (!answer.image) throw incompleteAnswer("image");
  showResult(
    context,
    options,
    toJson(CreateTorrentResponseSchema, answer, { alwaysEmitImplicit: true }),
    `magnet  ${answer.image.magnetUri}`,
  );
}
