/** The store's contract in Kysely's words, for any engine that Kysely speaks. */
import type { Kysely, Selectable, Transaction } from "kysely";
import type { Image, ImageTorrent } from "../catalog/image.ts";
import { compareText } from "./compare-text.ts";
import type { InventoryStore } from "./inventory-store.ts";
import type { Engine } from "./json-rows.ts";
import { KyselyInventoryStore } from "./kysely-inventory-store.ts";
import { KyselyLaunchStore } from "./kysely-launch-store.ts";
import { KyselyPrefetchStore } from "./kysely-prefetch-store.ts";
import { count, KyselyReplicaStore } from "./kysely-replica-store.ts";
import type { LaunchStore } from "./launch-store.ts";
import { retiredKeptMs, retiredMax } from "./limits.ts";
import type { PrefetchStore } from "./prefetch-store.ts";
import type { ReplicaStore } from "./replica-store.ts";
import { batchesOf } from "./row-batches.ts";
import type { Database } from "./schema.ts";
import type { Store } from "./store.ts";

export class KyselyStore implements Store {
  readonly inventory: InventoryStore;
  readonly replicas: ReplicaStore;
  readonly prefetch: PrefetchStore;
  readonly launches: LaunchStore;
  readonly #database: Kysely<Database>;

  constructor(database: Kysely<Database>, engine: Engine) {
    this.#database = database;
    this.inventory = new KyselyInventoryStore(database, engine);
    this.replicas = new KyselyReplicaStore(database);
    this.prefetch = new KyselyPrefetchStore(database, engine);
    this.launches = new KyselyLaunchStore(database, engine);
  }

  close(): Promise<void> {
    return this.#database.destroy();
  }

  async listImages(): Promise<Image[]> {
    const rows = await this.#database.selectFrom("images").selectAll().execute();
    const names = await this.#database.selectFrom("names").selectAll().orderBy("ordinal").execute();
    const namesByDigest = Map.groupBy(names, (row) => row.digest);
    const images = rows.map((row) =>
      imageFrom(
        row,
        (namesByDigest.get(row.digest) ?? []).map(({ name }) => name),
      ),
    );
    return images.sort((a, b) => compareText(a.names[0] ?? "", b.names[0] ?? ""));
  }

  async imageByDigest(digest: string): Promise<Image | undefined> {
    const row = await this.#database.selectFrom("images").selectAll().where("digest", "=", digest).executeTakeFirst();
    if (!row) return undefined;
    const names = await this.#database
      .selectFrom("names")
      .select("name")
      .where("digest", "=", digest)
      .orderBy("ordinal")
      .execute();
    return imageFrom(
      row,
      names.map(({ name }) => name),
    );
  }

  async imageByName(name: string): Promise<Image | undefined> {
    const row = await this.#database.selectFrom("names").select("digest").where("name", "=", name).executeTakeFirst();
    return row && this.imageByDigest(row.digest);
  }

  async addImage(image: Image): Promise<void> {
    await this.#changingCatalog(async (transaction) => {
      await transaction
        .insertInto("images")
        .values({
          digest: image.digest,
          size_bytes: image.sizeBytes,
          format: image.format,
          virtual_size_bytes: image.virtualSizeBytes,
          infohash: image.torrent?.infohash ?? null,
          piece_length_bytes: image.torrent?.pieceLengthBytes ?? null,
          created_at_ms: image.createdAtMs,
          boot_of: image.boot?.of ?? null,
          boot_sources: image.boot?.sources.join(" ") ?? null,
        })
        .execute();
      for (const name of image.names) await insertName(transaction, image.digest, name);
      await transaction.deleteFrom("retired_images").where("digest", "=", image.digest).execute();
    });
  }

  async addName(digest: string, name: string): Promise<void> {
    await this.#changingCatalog((transaction) => insertName(transaction, digest, name));
  }

  async setTorrent(digest: string, torrent: ImageTorrent | undefined): Promise<void> {
    await this.#changingCatalog(async (transaction) => {
      await transaction
        .updateTable("images")
        .set({ infohash: torrent?.infohash ?? null, piece_length_bytes: torrent?.pieceLengthBytes ?? null })
        .where("digest", "=", digest)
        .execute();
    });
  }

  async removeName(name: string): Promise<void> {
    await this.#changingCatalog(async (transaction) => {
      await transaction.deleteFrom("names").where("name", "=", name).execute();
    });
  }

  async removeImage(digest: string, nowMs: number): Promise<void> {
    await this.#changingCatalog(async (transaction) => {
      // Who holds it goes with it.
      await count(transaction, "copies");
      const [removed] = await transaction.deleteFrom("images").where("digest", "=", digest).execute();
      if (removed?.numDeletedRows === 0n) return;
      await transaction
        .insertInto("retired_images")
        .values({ digest, retired_at_ms: nowMs })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await forgetRetired(transaction, nowMs);
    });
  }

  async removedAmong(digests: Iterable<string>): Promise<Set<string>> {
    const removed = new Set<string>();
    for (const some of batchesOf([...digests])) {
      const rows = await this.#database
        .selectFrom("retired_images")
        .select("digest")
        .where("digest", "in", some)
        .execute();
      for (const { digest } of rows) removed.add(digest);
    }
    return removed;
  }

  /** One change of the catalog, which is counted. */
  async #changingCatalog(change: (transaction: Transaction<Database>) => Promise<void>): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await count(transaction, "catalog");
      await change(transaction);
    });
  }
}

/** Forgets what was retired long ago, and of more than are remembered the oldest. */
async function forgetRetired(transaction: Transaction<Database>, nowMs: number): Promise<void> {
  await transaction
    .deleteFrom("retired_images")
    .where("retired_at_ms", "<", nowMs - retiredKeptMs)
    .execute();
  const { retired } = await transaction
    .selectFrom("retired_images")
    .select((row) => row.fn.countAll<number>().as("retired"))
    .executeTakeFirstOrThrow();
  const surplus = Number(retired) - retiredMax;
  if (surplus <= 0) return;
  await transaction
    .deleteFrom("retired_images")
    .where("digest", "in", (query) =>
      query.selectFrom("retired_images").select("digest").orderBy("retired_at_ms").orderBy("digest").limit(surplus),
    )
    .execute();
}

async function insertName(transaction: Transaction<Database>, digest: string, name: string): Promise<void> {
  const { last } = await transaction
    .selectFrom("names")
    .select((row) => row.fn.max("ordinal").as("last"))
    .where("digest", "=", digest)
    .executeTakeFirstOrThrow();
  await transaction
    .insertInto("names")
    .values({ name, digest, ordinal: (last ?? 0) + 1 })
    .execute();
}

function imageFrom(row: Selectable<Database["images"]>, names: string[]): Image {
  return {
    digest: row.digest,
    names,
    sizeBytes: row.size_bytes,
    format: row.format,
    virtualSizeBytes: row.virtual_size_bytes,
    torrent:
      row.infohash === null || row.piece_length_bytes === null
        ? undefined
        : { infohash: row.infohash, pieceLengthBytes: row.piece_length_bytes },
    createdAtMs: row.created_at_ms,
    ...(row.boot_of !== null && {
      boot: { of: row.boot_of, sources: (row.boot_sources ?? "").split(" ").filter((digest) => digest !== "") },
    }),
  };
}
