/** Many rows in one parameter of a statement, as JSON: statements of thousands of parameters are slow to make and to read. */
import { type RawBuilder, sql } from "kysely";

export type Engine = "sqlite" | "postgres";

/** Columns and their types, in words that both engines know. */
type Columns = Record<string, "text" | "bigint">;

/** A table of the name `r` of these rows, for the FROM of a statement. */
export function jsonRows<Row extends object>(
  engine: Engine,
  rows: readonly Row[],
  columns: { [Name in keyof Row]: Columns[string] },
): RawBuilder<unknown> {
  const json = JSON.stringify(rows);
  const entries = Object.entries<Columns[string]>(columns);
  if (engine === "postgres") {
    const types = entries.map(([name, type]) => `${name} ${type}`).join(", ");
    return sql`json_to_recordset(cast(${json} as json)) as r(${sql.raw(types)})`;
  }
  const values = entries.map(([name]) => `value ->> '${name}' as ${name}`).join(", ");
  return sql`(select ${sql.raw(values)} from json_each(${json})) as r`;
}
