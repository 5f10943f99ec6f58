/**
 * Rows that one statement writes or asks for: its parameters, up to eight a row, stay far below what the engines take
 * (SQLite 32,766, PostgreSQL 65,535).
 */
const rowsPerStatementMax = 1_000;

/** Rows in batches that one statement takes each, in their order; none for no rows. */
export function* batchesOf<Row>(
  rows: readonly Row[],
  perStatementMax = rowsPerStatementMax,
): Generator<Row[], void, undefined> {
  for (let start = 0; start < rows.length; start += perStatementMax) yield rows.slice(start, start + perStatementMax);
}
