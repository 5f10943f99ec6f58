import type { Kysely, Selectable } from "kysely";
import type { Engine } from "./json-rows.ts";
import { count } from "./kysely-replica-store.ts";
import type { LaunchRecord, LaunchStore } from "./launch-store.ts";
import { batchesOf } from "./row-batches.ts";
import type { Database } from "./schema.ts";
import { unsynced } from "./unsynced.ts";

/** The contract of launches in Kysely's words. */
export class KyselyLaunchStore implements LaunchStore {
  readonly #database: Kysely<Database>;
  readonly #engine: Engine;

  constructor(database: Kysely<Database>, engine: Engine) {
    this.#database = database;
    this.#engine = engine;
  }

  async addLaunches(seederId: string, launches: readonly LaunchRecord[]): Promise<void> {
    await unsynced(this.#database, this.#engine, async (transaction) => {
      const last = await count(transaction, "launches", launches.length);
      const first = last - launches.length + 1;
      const rows = launches.map((launch, index) => launchRow(first + index, seederId, launch));
      for (const batch of batchesOf(rows)) await transaction.insertInto("launches").values(batch).execute();
    });
  }

  async readLaunches(seederId: string, mark: number, launchesMax: number) {
    const counted = await this.#database
      .selectFrom("versions")
      .select("version")
      .where("name", "=", "launches")
      .executeTakeFirst();
    const last = counted?.version ?? 0;
    if (last === mark) return { launches: [], mark };
    // One that went back is another database, or an earlier copy of it.
    const from = last < mark ? 0 : mark;
    const rows = await this.#database
      .selectFrom("launches")
      .selectAll()
      .where("number", ">", from)
      .where("number", "<=", last)
      .where("seeder_id", "!=", seederId)
      .orderBy("number", "desc")
      .limit(launchesMax)
      .execute();
    return { launches: rows.reverse().map(launchFrom), mark: last };
  }

  async forgetLaunches(toldBeforeMs: number, launchesMax: number): Promise<void> {
    const oldest = await this.#database
      .selectFrom("launches")
      .select("number")
      .orderBy("number", "desc")
      .offset(launchesMax)
      .limit(1)
      .executeTakeFirst();
    await this.#database
      .deleteFrom("launches")
      .where((where) => where.or([where("told_at_ms", "<", toldBeforeMs), where("number", "<=", oldest?.number ?? 0)]))
      .execute();
  }
}

function launchRow(number: number, seederId: string, launch: LaunchRecord): Database["launches"] {
  const { launchId, nodeId, digest, count: machines, atMs, toldAtMs } = launch;
  return {
    number,
    seeder_id: seederId,
    launch_id: launchId,
    node_id: nodeId,
    digest,
    vm_count: machines,
    launched_at_ms: Math.round(atMs),
    told_at_ms: Math.round(toldAtMs),
  };
}

function launchFrom(row: Selectable<Database["launches"]>): LaunchRecord {
  return {
    launchId: row.launch_id,
    nodeId: row.node_id,
    digest: row.digest,
    count: row.vm_count,
    atMs: row.launched_at_ms,
    toldAtMs: row.told_at_ms,
  };
}
