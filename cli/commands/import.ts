import { readFile, stat } from "node:fs/promises";
import { create, toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { formatBytes } from "../../figures/units.ts";
import {
  type CancelImportResponse,
  CancelImportResponseSchema,
  type ImportImageResponse,
  ImportImageResponseSchema,
  ImportState,
  ListImportsResponseSchema,
} from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { CliError, usageError } from "../cli-error.ts";
import { type Context, errStyle, type GlobalOptions, seederOf } from "../context.ts";
import { daemonAddressesFrom } from "../daemon-address.ts";
import { answerMsMax, type Seeder, seederAt } from "../daemons.ts";
import { durationMsFrom } from "../duration.ts";
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfer } from "../progress.ts";
import { replicasFrom, transferOfReplication } from "../replication.ts";
import { incompleteAnswer, showReport, showResult } from "../report.ts";
import { importsTable, transferOfImport } from "../views/imports.ts";

/** Largest .torrent file that is sent, in bytes: piece hashes of terabytes are below. */
const torrentFileBytesMax = 4 * 1024 * 1024;

interface ImportOptions extends GlobalOptions {
  name: string;
  sha256?: string;
  file?: string;
  publicDht?: boolean;
  replicas: string;
  replicasTimeout: string;
}

/** `import SOURCE`, `imports` and `cancel-import ID`. */
export function addImportCommands(program: Command, context: Context): void {
  program
    .command("import")
    .summary("bring an image in from a URL, a magnet link or a .torrent file")
    .description(
      "The seeder fetches SOURCE and publishes it under a name. Ctrl-C ends this command, not the import: see " +
        "`bootswarm imports`.",
    )
    .argument("<source>", "http(s) URL of an image or a .torrent, a magnet link, or a local .torrent file")
    .requiredOption("-n, --name <name>", "name to publish under")
    .option("--sha256 <digest>", "refuse the image unless it has this sha256")
    .option("--file <path>", "the wanted file of a torrent with several (default: the largest)")
    .option("--public-dht", "also ask the public DHT for peers; otherwise only the torrent's own trackers and peers")
    .option("--replicas <n>", "end when so many seeders hold the image", "1")
    .option("--replicas-timeout <time>", "how long to wait for that", "10m")
    .action((source: string, _options, command: Command) => importImage(context, source, command.optsWithGlobals()));
  program
    .command("imports")
    .summary("list imports")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => listImports(context, command.optsWithGlobals()));
  program
    .command("cancel-import")
    .summary("end an import; nothing of it stays")
    .argument("<id>", "as `bootswarm imports` shows it")
    .action((id: string, _options, command: Command) => cancelImport(context, id, command.optsWithGlobals()));
}

async function importImage(context: Context, source: string, options: ImportOptions): Promise<void> {
  const request = {
    ...(await sourceOf(source)),
    name: options.name,
    sha256: options.sha256?.toLowerCase() ?? "",
    file: options.file ?? "",
    publicDht: options.publicDht ?? false,
    replicas: replicasFrom(options.replicas),
    replicasTimeoutMs: durationMsFrom(options.replicasTimeout),
  };
  const region = createLiveRegion(context.err, context.now);
  const style = errStyle(context);
  const viewOf = (answer: ImportImageResponse) => {
    const { replication } = answer;
    const ofReplicas =
      replication &&
      transferOfReplication(
        { label: answer.import?.name ?? "", sizeBytes: Number(answer.import?.sizeBytes ?? 0n) },
        replication,
      );
    const transfer = ofReplicas ?? (answer.import ? transferOfImport(answer.import) : undefined);
    return {
      lines: (width: number) => (transfer ? [renderTransfer(transfer, { width, style })] : []),
      plain: () => (transfer ? [describeTransfer(transfer)] : []),
    };
  };
  let last: ImportImageResponse | undefined;
  try {
    for await (const answer of seederOf(options).catalog.importImage(request, { signal: context.signal })) {
      // Said before anything else, since this command may end in ways that leave it no last word.
      if (!last && answer.import) context.err.write(`${style.dim(howToEnd(answer.import.id))}\n`);
      last = answer;
      region.draw(viewOf(answer));
    }
    if (last) region.finish(viewOf(last));
  } catch (error) {
    if (!context.signal.aborted || !last?.import) throw error;
    region.clear();
    throw new CliError(
      `the import goes on in the seeder: \`bootswarm imports\` shows it, ` +
        `\`bootswarm cancel-import ${last.import.id}\` ends it`,
      { exitStatus: 130 },
    );
  } finally {
    region.clear();
  }
  finishImport(context, options, last);
}

function howToEnd(id: string): string {
  return `import ${id} runs in the seeder; Ctrl-C leaves it running, \`bootswarm cancel-import ${id}\` ends it`;
}

function finishImport(context: Context, options: ImportOptions, last: ImportImageResponse | undefined): void {
  if (!last?.import) throw incompleteAnswer("import");
  if (last.import.state === ImportState.CANCELLED) throw new CliError("the import was cancelled");
  if (last.import.state !== ImportState.PUBLISHED) throw new CliError(last.import.error || "the import did not end");
  showResult(
    context,
    options,
    toJson(ImportImageResponseSchema, last, { alwaysEmitImplicit: true }),
    `sha256  ${last.import.digest}\nmagnet  ${last.image?.magnetUri ?? ""}`,
  );
}

/** A link goes as it is; of a local file the bytes go, since the seeder may be on another machine. */
async function sourceOf(source: string): Promise<{ source: string } | { torrentFile: Uint8Array }> {
  if (/^(https?:\/\/|magnet:)/i.test(source)) return { source };
  const file = await stat(source).catch(() => undefined);
  if (!file?.isFile()) throw usageError(`"${source}" is no http(s) URL, no magnet link, and no file here`);
  if (file.size > torrentFileBytesMax) {
    throw usageError(
      `${source} has ${formatBytes(file.size)}, too much for a .torrent file. ` +
        `To publish an image that is here, use \`bootswarm publish\`.`,
    );
  }
  return { torrentFile: await readFile(source) };
}

async function listImports(context: Context, options: GlobalOptions & { watch?: boolean }): Promise<void> {
  await showReport(context, options, async () => {
    const call = { timeoutMs: answerMsMax, signal: context.signal };
    const imports = await ofEachSeeder(options, async ({ catalog }) => (await catalog.listImports({}, call)).imports);
    const answer = create(ListImportsResponseSchema, { imports: imports.flat() });
    return {
      json: toJson(ListImportsResponseSchema, answer, { alwaysEmitImplicit: true }),
      sections: [{ table: importsTable(answer.imports, context.now()), ifEmpty: "no imports; see bootswarm import" }],
    };
  });
}

async function cancelImport(context: Context, id: string, options: GlobalOptions): Promise<void> {
  const [answer] = await ofEachSeeder(options, ({ catalog }) =>
    catalog.cancelImport({ id }, { timeoutMs: answerMsMax }),
  );
  showResult(
    context,
    options,
    toJson(CancelImportResponseSchema, answer as CancelImportResponse, { alwaysEmitImplicit: true }),
    `cancelled ${answer?.import?.name ?? id}`,
  );
}

/**
 * What each of the seeders answers that was pointed to: an import runs where it was asked for.
 *
 * @throws the first seeder's error if none answers.
 */
async function ofEachSeeder<T>(options: GlobalOptions, ask: (seeder: Seeder) => Promise<T>): Promise<T[]> {
  const addresses = daemonAddressesFrom("seeder", options.seeder);
  const answers = await Promise.allSettled(addresses.map((address) => ask(seederAt(address))));
  const given = answers.filter((answer) => answer.status === "fulfilled").map(({ value }) => value);
  if (given.length > 0) return given;
  throw answers.find((answer) => answer.status === "rejected")?.reason;
}
