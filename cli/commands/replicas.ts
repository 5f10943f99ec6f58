import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  ForgetReplicaResponseSchema,
  ListReplicasResponseSchema,
} from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { type Context, type GlobalOptions, seederOf } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { showReport, showResult } from "../report.ts";
import { replicaFetchesTable, replicasTable } from "../views/replicas.ts";

const complete = { alwaysEmitImplicit: true };

/** `replicas` and `forget-replica SEEDER`. */
export function addReplicaCommands(program: Command, context: Context): void {
  program
    .command("replicas")
    .summary("list the seeders that share the catalog, and what each holds")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => listReplicas(context, command.optsWithGlobals()));
  program
    .command("forget-replica")
    .summary("forget a seeder that is lost for good, with what it held")
    .argument("<seeder>", "URL or id, as `bootswarm replicas` shows it")
    .action((seeder: string, _options, command: Command) => forget(context, seeder, command.optsWithGlobals()));
}

async function listReplicas(context: Context, options: GlobalOptions & { watch?: boolean }): Promise<void> {
  const { catalog } = seederOf(options);
  await showReport(context, options, async () => {
    const call = { timeoutMs: answerMsMax, signal: context.signal };
    const [answer, { images }] = await Promise.all([catalog.listReplicas({}, call), catalog.listImages({}, call)]);
    const names = new Map(images.map((image) => [image.digest, image.names]));
    const fetches = replicaFetchesTable(answer.replicas, names);
    return {
      json: toJson(ListReplicasResponseSchema, answer, complete),
      sections: [
        { table: replicasTable(answer.replicas, context.now()) },
        ...(fetches.rows.length === 0 ? [] : [{ title: "On their way", table: fetches }]),
      ],
    };
  });
}

async function forget(context: Context, replica: string, options: GlobalOptions): Promise<void> {
  const answer = await seederOf(options).catalog.forgetReplica({ replica }, { timeoutMs: answerMsMax });
  showResult(context, options, toJson(ForgetReplicaResponseSchema, answer, complete), `forgot ${replica}`);
}
