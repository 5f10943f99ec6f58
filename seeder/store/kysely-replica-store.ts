import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import { z } from "zod";
import type { CopyProgress, RecordingClaim, ReplicaRecord, ReplicaStore, SharedVersions } from "./replica-store.ts";
import { batchesOf } from "./row-batches.ts";
import type { Database } from "./schema.ts";

/** Claims at once: each is a boot that somebody records now. */
const claimsMax = 10_000;

/** The replicas' contract in Kysely's words. */
export class KyselyReplicaStore implements ReplicaStore {
  readonly #database: Kysely<Database>;

  constructor(database: Kysely<Database>) {
    this.#database = database;
  }

  async saveReplica(record: ReplicaRecord): Promise<void> {
    const { id, ...facts } = replicaRow(record);
    await this.#database
      .insertInto("replicas")
      .values({ id, ...facts })
      .onConflict((conflict) => conflict.column("id").doUpdateSet(facts))
      .execute();
  }

  async listReplicas(): Promise<ReplicaRecord[]> {
    const rows = await this.#database.selectFrom("replicas").selectAll().orderBy("id").execute();
    return rows.map(replicaFrom);
  }

  async removeReplica(id: string): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await transaction.deleteFrom("replicas").where("id", "=", id).execute();
      await count(transaction, "copies");
    });
  }

  async listCopies(): Promise<Map<string, string[]>> {
    const rows = await this.#database.selectFrom("replica_images").selectAll().execute();
    const byDigest = new Map<string, string[]>();
    for (const { digest, replica_id } of rows) byDigest.set(digest, [...(byDigest.get(digest) ?? []), replica_id]);
    return byDigest;
  }

  async setCopies(replicaId: string, digests: readonly string[]): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await transaction.deleteFrom("replica_images").where("replica_id", "=", replicaId).execute();
      for (const some of batchesOf(digests)) {
        const known = await transaction.selectFrom("images").select("digest").where("digest", "in", some).execute();
        const rows = known.map(({ digest }) => ({ replica_id: replicaId, digest }));
        if (rows.length > 0) await transaction.insertInto("replica_images").values(rows).execute();
      }
      await count(transaction, "copies");
    });
  }

  async addCopy(replicaId: string, digest: string): Promise<boolean> {
    return await this.#database.transaction().execute(async (transaction) => {
      // Whoever retires the image waits for this, or this finds it gone.
      await count(transaction, "copies");
      const image = await transaction.selectFrom("images").select("digest").where("digest", "=", digest).execute();
      if (image.length === 0) return false;
      await transaction
        .insertInto("replica_images")
        .values({ replica_id: replicaId, digest })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      return true;
    });
  }

  async removeCopy(replicaId: string, digest: string): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .deleteFrom("replica_images")
        .where("replica_id", "=", replicaId)
        .where("digest", "=", digest)
        .execute();
      await count(transaction, "copies");
    });
  }

  async versions(): Promise<SharedVersions> {
    const rows = await this.#database.selectFrom("versions").selectAll().execute();
    const of = (name: string) => rows.find((row) => row.name === name)?.version ?? 0;
    return { catalog: of("catalog"), copies: of("copies") };
  }

  async claimRecording(claim: RecordingClaim, nowMs: number): Promise<RecordingClaim> {
    return await this.#database.transaction().execute(async (transaction) => {
      await transaction.deleteFrom("recording_claims").where("ends_at_ms", "<=", nowMs).execute();
      const { count: claims } = await transaction
        .selectFrom("recording_claims")
        .select((row) => row.fn.countAll<number>().as("count"))
        .executeTakeFirstOrThrow();
      const facts = { node_id: claim.nodeId, node_name: claim.nodeName, ends_at_ms: claim.endsAtMs };
      if (Number(claims) < claimsMax) {
        await transaction
          .insertInto("recording_claims")
          .values({ digest: claim.digest, ...facts })
          .onConflict((conflict) =>
            conflict.column("digest").doUpdateSet(facts).where("recording_claims.node_id", "=", claim.nodeId),
          )
          .execute();
      }
      const row = await transaction
        .selectFrom("recording_claims")
        .selectAll()
        .where("digest", "=", claim.digest)
        .executeTakeFirst();
      // With too many of them none is kept, and the worst that can happen is that a boot is recorded twice.
      if (!row) return claim;
      return { digest: row.digest, nodeId: row.node_id, nodeName: row.node_name, endsAtMs: row.ends_at_ms };
    });
  }

  async releaseRecording(digest: string, nodeId: string): Promise<void> {
    await this.#database
      .deleteFrom("recording_claims")
      .where("digest", "=", digest)
      .where("node_id", "=", nodeId)
      .execute();
  }
}

/**
 * Counts changes, within the transaction that makes them: the number of the last. The row is locked until that commits, so numbers become visible in
 * the order of commits: a reader that has seen one has seen all changes up to it.
 */
export async function count(
  transaction: Transaction<Database>,
  name: Database["versions"]["name"],
  changes = 1,
): Promise<number> {
  const { version } = await transaction
    .insertInto("versions")
    // Where the row was lost: no number that anybody has seen before.
    .values({ name, version: Date.now() + changes })
    .onConflict((conflict) =>
      conflict.column("name").doUpdateSet({ version: sql`versions.version + ${sql.lit(changes)}` }),
    )
    .returning("version")
    .executeTakeFirstOrThrow();
  return version;
}

const fetchesSchema = z.array(
  z.object({ digest: z.string(), sizeBytes: z.number(), doneBytes: z.number(), trouble: z.string() }),
);

function replicaFrom(row: Selectable<Database["replicas"]>): ReplicaRecord {
  return {
    id: row.id,
    url: row.url,
    host: row.host,
    peerPort: row.peer_port,
    dhtPort: row.dht_port,
    version: row.version,
    freeBytes: row.free_bytes,
    fetches: fetchesFrom(row.fetches),
    beat: row.beat,
    seenAtMs: row.seen_at_ms,
  };
}

/** What a seeder of another version may write otherwise is only told, never relied on. */
function fetchesFrom(text: string): CopyProgress[] {
  try {
    return fetchesSchema.parse(JSON.parse(text));
  } catch {
    return [];
  }
}

function replicaRow(record: ReplicaRecord): Database["replicas"] {
  return {
    id: record.id,
    url: record.url,
    host: record.host,
    peer_port: record.peerPort,
    dht_port: record.dhtPort,
    version: record.version,
    free_bytes: record.freeBytes,
    fetches: JSON.stringify(record.fetches),
    beat: record.beat,
    seen_at_ms: record.seenAtMs,
  };
}
