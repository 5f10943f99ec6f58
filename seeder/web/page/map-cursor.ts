/** Moves over the map by keys. Pure. */

export interface Cursor {
  row: number;
  node: number;
}

const pageStep = 10;

/** Where a key leads; undefined for a key that moves nothing. */
export function movedCursor(
  { row, node }: Cursor,
  key: string,
  far: boolean,
  size: { rows: number; nodes: number },
): Cursor | undefined {
  const step = far ? pageStep : 1;
  const to = (newRow: number, newNode: number): Cursor => ({
    row: Math.max(0, Math.min(size.rows - 1, newRow)),
    node: Math.max(0, Math.min(size.nodes - 1, newNode)),
  });
  switch (key) {
    case "ArrowUp":
      return to(row - step, node);
    case "ArrowDown":
      return to(row + step, node);
    case "ArrowLeft":
      return to(row, node - step);
    case "ArrowRight":
      return to(row, node + step);
    case "PageUp":
      return to(row - pageStep, node);
    case "PageDown":
      return to(row + pageStep, node);
    case "Home":
      return to(far ? 0 : row, 0);
    case "End":
      return to(far ? size.rows - 1 : row, size.nodes - 1);
    default:
      return undefined;
  }
}
