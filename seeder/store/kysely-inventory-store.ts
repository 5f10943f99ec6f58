/**
 * The inventory's contract in Kysely's words. Whoever changes nodes takes the next number from `inventory_state` first,
 * whose row stays locked until the commit: so numbers are committed in their order, and who has seen one has seen all
 * before it.
 */
import { randomBytes } from "node:crypto";
import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import type { HoldingFacts, HoldingsChange } from "../inventory/facts.ts";
import type { InventoryStore, NodeChange, NodeRemoval, NodesRead, NodesSaved, StoreMark } from "./inventory-store.ts";
import { type Engine, jsonRows } from "./json-rows.ts";
import { type HoldingRow, holdingFrom, holdingRow, nodeFrom, nodeRow } from "./node-rows.ts";
import { batchesOf } from "./row-batches.ts";
import type { Database } from "./schema.ts";
import { unsynced } from "./unsynced.ts";

type State = Selectable<Database["inventory_state"]>;
type StoredNode = Selectable<Database["nodes"]>;

/** Nodes whose holdings are read in one statement. */
const nodesPerReadMax = 500;

const nodeColumns = {
  id: "text",
  facts: "text",
  epoch: "text",
  sequence: "bigint",
  reported_at_ms: "bigint",
  lease_ms: "bigint",
  peer: "text",
  fetches: "text",
  seeder_id: "text",
} as const;
const holdingColumns = {
  node_id: "text",
  digest: "text",
  allocated_bytes: "bigint",
  pinned: "bigint",
  last_used_at_ms: "bigint",
} as const;

export class KyselyInventoryStore implements InventoryStore {
  readonly shared: boolean;
  readonly #database: Kysely<Database>;
  readonly #engine: Engine;

  constructor(database: Kysely<Database>, engine: Engine) {
    this.#database = database;
    this.#engine = engine;
    this.shared = engine === "postgres";
  }

  async nowMs(): Promise<number> {
    if (this.#engine === "sqlite") return Date.now();
    const query = sql<{
      now_ms: number;
    }>`select cast(extract(epoch from clock_timestamp()) * 1000 as bigint) as now_ms`;
    return (await query.execute(this.#database)).rows[0]!.now_ms;
  }

  loadNodes(): Promise<NodesRead> {
    return this.#read(undefined, undefined);
  }

  readNodes(since: StoreMark, exceptSeederId: string): Promise<NodesRead> {
    return this.#read(since, exceptSeederId);
  }

  async saveNodes(
    seederId: string,
    changes: readonly NodeChange[],
    removals: readonly NodeRemoval[],
  ): Promise<NodesSaved> {
    return await unsynced(this.#database, this.#engine, async (transaction) => {
      await this.#steady(transaction);
      const { generation, change } = await nextChange(transaction);
      const saving = new Saving(transaction, this.#engine, change);
      if (removals.length > 0) await saving.removeNodes(removals);
      const known = await saving.knownOf(changes.map(({ node }) => node.id));
      const accepted = await saving.saveNodes(seederId, changes);
      await saving.saveHoldings(changes.filter(({ node }) => accepted.has(node.id)));
      const isIncomplete = ({ node, holdings }: NodeChange) => !known.has(node.id) && !(holdings && "all" in holdings);
      return {
        mark: { generation, change },
        refusedIds: changes.map(({ node }) => node.id).filter((id) => !accepted.has(id)),
        incompleteIds: changes.filter(isIncomplete).map(({ node }) => node.id),
      };
    });
  }

  async #read(since: StoreMark | undefined, exceptSeederId: string | undefined): Promise<NodesRead> {
    const transaction = this.#database.transaction();
    // All that is read is of one state of the store; SQLite's transactions are so in any case.
    const isolated = this.#engine === "postgres" ? transaction.setIsolationLevel("repeatable read") : transaction;
    return await isolated.execute(async (reading) => {
      await this.#steady(reading);
      const state = await stateOf(reading);
      const mark = { generation: state?.generation ?? "", change: state?.change ?? 0 };
      const anew = since !== undefined && (since.generation !== mark.generation || since.change > mark.change);
      const from = since === undefined || anew ? -1 : since.change;
      const nodes = from === mark.change ? [] : await this.#changedNodes(reading, from, exceptSeederId);
      const idsAreWanted = anew || (since !== undefined && (state?.removals_change ?? 0) > since.change);
      const ids = idsAreWanted ? await reading.selectFrom("nodes").select("id").execute() : undefined;
      return {
        mark,
        anew,
        nodes,
        ids: ids && new Set(ids.map(({ id }) => id)),
        anyHolding: await anyHoldingOf(reading),
      };
    });
  }

  /**
   * Has PostgreSQL look rows up by their keys, whatever its statistics say: a table that was empty a minute ago it would
   * read from end to end for each change of a few nodes.
   */
  async #steady(transaction: Transaction<Database>): Promise<void> {
    if (this.#engine === "sqlite") return;
    await sql`select set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
      set_config('enable_mergejoin', 'off', true)`.execute(transaction);
  }

  async #changedNodes(reading: Transaction<Database>, from: number, exceptSeederId: string | undefined) {
    let query = reading.selectFrom("nodes").selectAll().where("change", ">", from);
    if (exceptSeederId !== undefined) query = query.where("seeder_id", "<>", exceptSeederId);
    const rows = await query.execute();
    const holdings = await this.#changedHoldings(reading, rows, from);
    return rows.map((row): NodeChange => ({ ...nodeFrom(row), holdings: holdingsOf(row, from, holdings.get(row.id)) }));
  }

  async #changedHoldings(reading: Transaction<Database>, nodes: readonly StoredNode[], from: number) {
    const wanted = nodes
      .filter((row) => isReadWhole(row, from) || row.holdings_change > from)
      .map((row) => ({ id: row.id, since: isReadWhole(row, from) ? -1 : from }));
    const byNode = new Map<string, HoldingFacts[]>();
    for (const batch of batchesOf(wanted, nodesPerReadMax)) {
      const rows = jsonRows(this.#engine, batch, { id: "text", since: "bigint" });
      const query = sql<HoldingRow>`select h.node_id, h.digest, h.allocated_bytes, h.pinned, h.last_used_at_ms
        from ${rows} join holdings h on h.node_id = r.id where h.change > r.since`;
      for (const row of (await query.execute(reading)).rows) {
        const held = byNode.get(row.node_id) ?? [];
        byNode.set(row.node_id, held);
        held.push(holdingFrom(row));
      }
    }
    return byNode;
  }
}

/** The statements of one change. */
class Saving {
  readonly #transaction: Transaction<Database>;
  readonly #engine: Engine;
  readonly #change: number;

  constructor(transaction: Transaction<Database>, engine: Engine, change: number) {
    this.#transaction = transaction;
    this.#engine = engine;
    this.#change = change;
  }

  async removeNodes(removals: readonly NodeRemoval[]): Promise<void> {
    const rows = removals.map(({ id, reportedAtMs }) => ({ id, reported_at_ms: Math.round(reportedAtMs) }));
    const table = jsonRows(this.#engine, rows, { id: "text", reported_at_ms: "bigint" });
    const query = sql<{ id: string }>`delete from nodes
      where exists (select 1 from ${table} where r.id = nodes.id and nodes.reported_at_ms <= r.reported_at_ms)
      returning id`;
    const removed = (await query.execute(this.#transaction)).rows;
    if (removed.length === 0) return;
    await sql`delete from holdings
      where node_id in (select r.id from ${jsonRows(this.#engine, removed, { id: "text" })})`.execute(
      this.#transaction,
    );
    await this.#transaction.updateTable("inventory_state").set({ removals_change: this.#change }).execute();
  }

  async knownOf(ids: readonly string[]): Promise<Set<string>> {
    if (ids.length === 0) return new Set();
    const rows = jsonRows(
      this.#engine,
      ids.map((id) => ({ id })),
      { id: "text" },
    );
    const query = sql<{ id: string }>`select id from nodes where id in (select r.id from ${rows})`;
    return new Set((await query.execute(this.#transaction)).rows.map(({ id }) => id));
  }

  /** Adds or changes nodes, and gives the ids of those that were; the others are known by a later report. */
  async saveNodes(seederId: string, changes: readonly NodeChange[]): Promise<Set<string>> {
    if (changes.length === 0) return new Set();
    const rows = changes.map((change) => ({
      ...nodeRow(change),
      holdings_change: change.holdings ? this.#change : 0,
      // Of a new row: whoever knew the node before is to forget what it held then.
      removals_change: this.#change,
    }));
    const columns = { ...nodeColumns, holdings_change: "bigint", removals_change: "bigint" } as const;
    const names = sql.raw(Object.keys(columns).join(", "));
    const values = sql.raw(
      Object.keys(columns)
        .map((name) => `r.${name}`)
        .join(", "),
    );
    const updates = sql.raw(
      Object.keys(nodeColumns)
        .filter((name) => name !== "id")
        .map((name) => `${name} = excluded.${name}`)
        .join(", "),
    );
    // The same rule as in inventory/supersedes.ts; what this seeder wrote itself it knows better.
    const query = sql<{ id: string }>`insert into nodes (${names}, change)
      select ${values}, cast(${this.#change} as bigint) from ${jsonRows(this.#engine, rows, columns)} where true
      on conflict (id) do update set ${updates}, change = excluded.change,
        holdings_change = case when excluded.holdings_change > 0 then excluded.holdings_change else nodes.holdings_change end
      where (excluded.seeder_id = nodes.seeder_id and nodes.seeder_id = ${seederId})
        or (excluded.epoch = nodes.epoch and excluded.sequence > nodes.sequence)
        or (excluded.epoch <> nodes.epoch and excluded.reported_at_ms > nodes.reported_at_ms)
      returning id`;
    return new Set((await query.execute(this.#transaction)).rows.map(({ id }) => id));
  }

  async saveHoldings(changes: readonly NodeChange[]): Promise<void> {
    const kept: HoldingRow[] = [];
    const gone: { node_id: string; digest: string }[] = [];
    const whole: { id: string }[] = [];
    for (const { node, holdings } of changes) {
      if (!holdings) continue;
      const isWhole = "all" in holdings;
      if (isWhole) whole.push({ id: node.id });
      else for (const digest of holdings.removed) gone.push({ node_id: node.id, digest });
      for (const holding of isWhole ? holdings.all : holdings.changed) kept.push(holdingRow(node.id, holding));
    }
    const lost = new Set([...(await this.#removeOthers(whole, kept)), ...(await this.#remove(gone))]);
    if (lost.size > 0) {
      const ids = [...lost].map((id) => ({ id }));
      await sql`update nodes set removals_change = cast(${this.#change} as bigint)
        where id in (select r.id from ${jsonRows(this.#engine, ids, { id: "text" })})`.execute(this.#transaction);
    }
    if (kept.length > 0) await this.#keep(kept);
  }

  /** Removes what these nodes hold no more; gives the nodes that lost something. */
  async #removeOthers(nodes: readonly { id: string }[], kept: readonly HoldingRow[]): Promise<string[]> {
    if (nodes.length === 0) return [];
    const keys = kept.map(({ node_id, digest }) => ({ node_id, digest }));
    const query = sql<{ node_id: string }>`delete from holdings
      where node_id in (select r.id from ${jsonRows(this.#engine, nodes, { id: "text" })})
        and (node_id, digest) not in
          (select r.node_id, r.digest from ${jsonRows(this.#engine, keys, { node_id: "text", digest: "text" })})
      returning node_id`;
    return (await query.execute(this.#transaction)).rows.map(({ node_id }) => node_id);
  }

  async #remove(keys: readonly { node_id: string; digest: string }[]): Promise<string[]> {
    if (keys.length === 0) return [];
    const query = sql<{ node_id: string }>`delete from holdings
      where (node_id, digest) in
        (select r.node_id, r.digest from ${jsonRows(this.#engine, keys, { node_id: "text", digest: "text" })})
      returning node_id`;
    return (await query.execute(this.#transaction)).rows.map(({ node_id }) => node_id);
  }

  /** Adds or changes holdings; those that are as they were stay untouched. */
  async #keep(rows: readonly HoldingRow[]): Promise<void> {
    await sql`insert into holdings (node_id, digest, allocated_bytes, pinned, last_used_at_ms, change)
      select r.node_id, r.digest, r.allocated_bytes, r.pinned, r.last_used_at_ms, cast(${this.#change} as bigint)
      from ${jsonRows(this.#engine, rows, holdingColumns)} where true
      on conflict (node_id, digest) do update set allocated_bytes = excluded.allocated_bytes,
        pinned = excluded.pinned, last_used_at_ms = excluded.last_used_at_ms, change = excluded.change
      where holdings.allocated_bytes <> excluded.allocated_bytes or holdings.pinned <> excluded.pinned
        or holdings.last_used_at_ms is distinct from excluded.last_used_at_ms`.execute(this.#transaction);
  }
}

async function stateOf(database: Kysely<Database>): Promise<State | undefined> {
  return await database.selectFrom("inventory_state").selectAll().executeTakeFirst();
}

async function anyHoldingOf(database: Kysely<Database>): Promise<boolean> {
  return (await database.selectFrom("holdings").select("node_id").limit(1).executeTakeFirst()) !== undefined;
}

/** Counts a change, and holds others up that are about to make one until this is committed. */
async function nextChange(transaction: Transaction<Database>): Promise<State> {
  const count = () =>
    transaction
      .updateTable("inventory_state")
      .set((row) => ({ change: row.eb("change", "+", 1) }))
      .returningAll()
      .executeTakeFirst();
  const counted = await count();
  if (counted) return counted;
  // The first of all, or the tables were emptied: of several seeders one makes the row.
  await transaction
    .insertInto("inventory_state")
    .values({ id: 1, generation: randomBytes(8).toString("hex"), change: 0, removals_change: 0 })
    .onConflict((conflict) => conflict.column("id").doNothing())
    .execute();
  return (await count()) as State;
}

/** Whether a node's holdings are read in full: it is new to the reader, or has lost some. */
function isReadWhole(row: StoredNode, from: number): boolean {
  return from < 0 || row.removals_change > from;
}

function holdingsOf(row: StoredNode, from: number, holdings: HoldingFacts[] = []): HoldingsChange | undefined {
  if (isReadWhole(row, from)) return { all: holdings };
  return row.holdings_change > from ? { changed: holdings, removed: [] } : undefined;
}
