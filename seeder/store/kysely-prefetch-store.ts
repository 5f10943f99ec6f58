import { type Kysely, sql } from "kysely";
import type { OperatorPrefetch, PrefetchTarget } from "../prefetch/operator-prefetch.ts";
import type { PlannedCopy } from "../prefetch/planned-copy.ts";
import type { PopularityEntry } from "../prefetch/popularity.ts";
import { compareText } from "./compare-text.ts";
import type { Engine } from "./json-rows.ts";
import { count } from "./kysely-replica-store.ts";
import type { PrefetchStore } from "./prefetch-store.ts";
import { batchesOf } from "./row-batches.ts";
import type { Database } from "./schema.ts";
import { unsynced } from "./unsynced.ts";

export class KyselyPrefetchStore implements PrefetchStore {
  readonly #database: Kysely<Database>;
  readonly #engine: Engine;

  constructor(database: Kysely<Database>, engine: Engine) {
    this.#database = database;
    this.#engine = engine;
  }

  async addPopularity(entries: readonly PopularityEntry[], halfLifeMs: number): Promise<void> {
    // In one order for all seeders, so that no two wait for each other.
    const ordered = [...entries].sort((a, b) => compareText(a.zone, b.zone) || compareText(a.digest, b.digest));
    const rows = ordered.map(({ zone, digest, score, atMs }) => ({ zone, digest, score, at_ms: Math.round(atMs) }));
    const known = sql.ref("popularity.at_ms");
    const told = sql.ref("excluded.at_ms");
    const latest = sql`(case when ${known} > ${told} then ${known} else ${told} end)`;
    const decayed = (score: string, at: typeof known) =>
      sql`${sql.ref(score)} * power(0.5, (${latest} - ${at}) / ${sql.lit(halfLifeMs)}.0)`;
    await unsynced(this.#database, this.#engine, async (transaction) => {
      for (const batch of batchesOf(rows)) {
        await transaction
          .insertInto("popularity")
          .values(batch)
          .onConflict((conflict) =>
            conflict.columns(["zone", "digest"]).doUpdateSet({
              score: sql`${decayed("popularity.score", known)} + ${decayed("excluded.score", told)}`,
              at_ms: sql`${latest}`,
            }),
          )
          .execute();
      }
    });
  }

  async loadPopularity(): Promise<PopularityEntry[]> {
    const rows = await this.#database.selectFrom("popularity").selectAll().execute();
    return rows.map(({ zone, digest, score, at_ms: atMs }) => ({ zone, digest, score, atMs }));
  }

  async forgetPopularity(scoreMin: number, nowMs: number, halfLifeMs: number): Promise<void> {
    await this.#database
      .deleteFrom("popularity")
      .where(
        sql<boolean>`score * power(0.5, (${sql.lit(nowMs)} - at_ms) / ${sql.lit(halfLifeMs)}.0) < ${sql.lit(scoreMin)}`,
      )
      .execute();
  }

  async loadLaunchZones(): Promise<Map<string, number>> {
    const rows = await this.#database.selectFrom("launch_zones").selectAll().execute();
    return new Map(rows.map(({ zone, launched_at_ms: atMs }) => [zone, atMs]));
  }

  async noteLaunchZone(zone: string, atMs: number): Promise<void> {
    await this.#database
      .insertInto("launch_zones")
      .values({ zone, launched_at_ms: atMs })
      .onConflict((conflict) => conflict.column("zone").doUpdateSet({ launched_at_ms: atMs }))
      .execute();
  }

  async planAlone(
    seederId: string,
    live: ReadonlySet<string>,
    plan: (others: PlannedCopy[]) => Promise<readonly PlannedCopy[]>,
  ): Promise<void> {
    await unsynced(this.#database, this.#engine, async (transaction) => {
      // Whoever else would plan waits here until this has committed, and then sees what came of it.
      await count(transaction, "plans");
      await transaction
        .deleteFrom("planned_copies")
        .where("seeder_id", "not in", [seederId, ...live])
        .execute();
      const rows = await transaction
        .selectFrom("planned_copies")
        .selectAll()
        .where("seeder_id", "!=", seederId)
        .execute();
      const planned = await plan(
        rows.map(({ node_id: nodeId, zone, digest, planned_at_ms: plannedAtMs }) => {
          return { nodeId, zone, digest, plannedAtMs };
        }),
      );
      await transaction.deleteFrom("planned_copies").where("seeder_id", "=", seederId).execute();
      for (const batch of batchesOf(planned)) {
        await transaction
          .insertInto("planned_copies")
          .values(
            batch.map(({ nodeId, zone, digest, plannedAtMs }) => {
              return { seeder_id: seederId, node_id: nodeId, zone, digest, planned_at_ms: Math.round(plannedAtMs) };
            }),
          )
          .execute();
      }
    });
  }

  async loadPrefetches(endedAfterMs: number): Promise<OperatorPrefetch[]> {
    const rows = await this.#database
      .selectFrom("prefetches")
      .selectAll()
      .where((where) => where.or([where("ended_at_ms", "is", null), where("ended_at_ms", ">", endedAfterMs)]))
      .orderBy("created_at_ms")
      .execute();
    const nodes = await this.#database.selectFrom("prefetch_nodes").selectAll().execute();
    const nodesOf = Map.groupBy(nodes, (row) => row.prefetch_id);
    return rows.map((row) => ({
      id: row.id,
      digest: row.digest,
      name: row.name,
      sizeBytes: row.size_bytes,
      nodeIds: row.node_ids === "" ? [] : row.node_ids.split(" "),
      zone: row.zone,
      count: row.node_count,
      state: row.state,
      createdAtMs: row.created_at_ms,
      endedAtMs: row.ended_at_ms ?? undefined,
      targets: new Map((nodesOf.get(row.id) ?? []).map(({ node_id: id, state, error }) => [id, { state, error }])),
    }));
  }

  async savePrefetch({ targets, nodeIds, ...prefetch }: OperatorPrefetch): Promise<void> {
    const ended = { state: prefetch.state, ended_at_ms: prefetch.endedAtMs ?? null };
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .insertInto("prefetches")
        .values({
          ...{ id: prefetch.id, digest: prefetch.digest, name: prefetch.name, zone: prefetch.zone, ...ended },
          size_bytes: prefetch.sizeBytes,
          node_ids: nodeIds.join(" "),
          node_count: prefetch.count,
          created_at_ms: prefetch.createdAtMs,
        })
        .onConflict((conflict) => conflict.column("id").doUpdateSet(ended).where("prefetches.state", "=", "running"))
        .execute();
      const rows = [...targets].sort(([a], [b]) => compareText(a, b)).map(targetRow(prefetch.id));
      for (const batch of batchesOf(rows)) {
        await transaction
          .insertInto("prefetch_nodes")
          .values(batch)
          .onConflict((conflict) =>
            conflict
              .columns(["prefetch_id", "node_id"])
              .doUpdateSet({ state: sql.ref("excluded.state"), error: sql.ref("excluded.error") })
              .where("prefetch_nodes.state", "=", "pending"),
          )
          .execute();
      }
    });
  }

  async forgetPrefetches(endedBeforeMs: number): Promise<void> {
    await this.#database.deleteFrom("prefetches").where("ended_at_ms", "<", endedBeforeMs).execute();
  }
}

function targetRow(prefetchId: string) {
  return ([nodeId, { state, error }]: [string, PrefetchTarget]) => ({
    prefetch_id: prefetchId,
    node_id: nodeId,
    state,
    error,
  });
}
