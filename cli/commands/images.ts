import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { formatBytes } from "../../figures/units.ts";
import {
  ListImagesResponseSchema as ListCachedImagesResponseSchema,
  PinImageResponseSchema,
  RemoveImageResponseSchema,
  UnpinImageResponseSchema,
} from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { ListImagesResponseSchema, RetireImageResponseSchema } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { agentOf, type Context, type GlobalOptions, seederOf } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { showReport, showResult } from "../report.ts";
import { cachedImagesTable } from "../views/cached-images.ts";
import { catalogImagesTable } from "../views/catalog-images.ts";

interface ImagesOptions extends GlobalOptions {
  local?: boolean;
  watch?: boolean;
}

/** `images`, `retire IMAGE`, `rm IMAGE`, `pin IMAGE` and `unpin IMAGE`. */
export function addImageCommands(program: Command, context: Context): void {
  program
    .command("images")
    .summary("list the catalog's images, or with --local this node's")
    .option("-l, --local", "the images in the agent's cache instead of the catalog's")
    .option("-w, --watch", "go on showing changes")
    .action(async (_options, command: Command) => {
      const options = command.optsWithGlobals<ImagesOptions>();
      await (options.local ? listCachedImages(context, options) : listCatalogImages(context, options));
    });
  const onImage = (
    name: string,
    summary: string,
    run: (image: string, options: GlobalOptions) => Promise<[json: unknown, line: string]>,
  ) =>
    program
      .command(name)
      .summary(summary)
      .argument("<image>", "name or sha256")
      .action(async (image: string, _options, command: Command) => {
        const options = command.optsWithGlobals<GlobalOptions>();
        showResult(context, options, ...(await run(image, options)));
      });
  onImage("retire", "take an image's name out of the catalog; nodes keep what they have", retire);
  onImage("rm", "remove an image from this node's cache", remove).option(
    "-f, --force",
    "even while leases or open disks use it",
  );
  onImage("pin", "keep an image in this node's cache", pin);
  onImage("unpin", "let a pinned image be removed again", unpin);
}

const call = { timeoutMs: answerMsMax };
const complete = { alwaysEmitImplicit: true };

async function listCatalogImages(context: Context, options: ImagesOptions): Promise<void> {
  const { catalog } = seederOf(options);
  await showReport(context, options, async () => {
    const answer = await catalog.listImages({}, { ...call, signal: context.signal });
    return {
      json: toJson(ListImagesResponseSchema, answer, complete),
      sections: [
        {
          table: catalogImagesTable(answer.images.filter(isNoBootImage), context.now()),
          ifEmpty: "no images yet; publish one with bootswarm publish FILE --name NAME",
        },
      ],
    };
  });
}

async function listCachedImages(context: Context, options: ImagesOptions): Promise<void> {
  const { service } = agentOf(options);
  await showReport(context, options, async () => {
    const answer = await service.listImages({}, { ...call, signal: context.signal });
    return {
      json: toJson(ListCachedImagesResponseSchema, answer, complete),
      sections: [
        {
          table: cachedImagesTable(answer.images.filter(isNoBootImage), context.now()),
          ifEmpty: "no images on this node yet; fetch one with bootswarm fetch IMAGE",
        },
      ],
    };
  });
}

/** Boot images have a list of their own, `bootswarm boot list`. */
function isNoBootImage({ format }: { format: ImageFormat }): boolean {
  return format !== ImageFormat.BOOT;
}

async function retire(image: string, options: GlobalOptions): Promise<[unknown, string]> {
  const answer = await seederOf(options).catalog.retireImage({ image }, call);
  const names = answer.image?.names ?? [];
  const left = names.length > 0 ? `; the image is still ${names.join(", ")}` : "; the image is gone from the catalog";
  return [toJson(RetireImageResponseSchema, answer, complete), `retired ${image}${left}`];
}

async function remove(image: string, options: GlobalOptions & { force?: boolean }): Promise<[unknown, string]> {
  const answer = await agentOf(options).service.removeImage({ image, force: options.force ?? false }, call);
  return [
    toJson(RemoveImageResponseSchema, answer, complete),
    `removed ${image} from this node; ${formatBytes(answer.freedBytes)} are free again`,
  ];
}

async function pin(image: string, options: GlobalOptions): Promise<[unknown, string]> {
  const answer = await agentOf(options).service.pinImage({ image }, call);
  return [toJson(PinImageResponseSchema, answer, complete), `pinned ${image}`];
}

async function unpin(image: string, options: GlobalOptions): Promise<[unknown, string]> {
  const answer = await agentOf(options).service.unpinImage({ image }, call);
  return [toJson(UnpinImageResponseSchema, answer, complete), `unpinned ${image}`];
}
