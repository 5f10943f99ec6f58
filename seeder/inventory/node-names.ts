import type { NodeFacts } from "./facts.ts";
import { byName } from "./node-view.ts";

/** Nodes by name: of one name, and in the order of names. */
export class NodeNames<Record extends { node: NodeFacts }> {
  readonly #named = new Map<string, Record[]>();
  /** All of them by name; undefined when it must be made anew. */
  #ordered: Record[] | undefined = [];
  #changes = 0;

  /** Grows with every node that comes, goes, or is named otherwise. */
  get changes(): number {
    return this.#changes;
  }

  add(record: Record): void {
    this.#changes++;
    const { name } = record.node;
    const others = this.#named.get(name);
    if (others) others.push(record);
    else this.#named.set(name, [record]);
    this.#ordered = undefined;
  }

  /** @param name the name under which it was added */
  remove(record: Record, name: string): void {
    this.#changes++;
    const left = (this.#named.get(name) ?? []).filter((other) => other !== record);
    if (left.length > 0) this.#named.set(name, left);
    else this.#named.delete(name);
    this.#ordered = undefined;
  }

  /** Nodes of that name, in no order. */
  called(name: string): readonly Record[] {
    return this.#named.get(name) ?? [];
  }

  /** All by name, or those that come after a name and id. */
  *inOrder(after?: Pick<NodeFacts, "name" | "id">): IterableIterator<Record> {
    this.#ordered ??= [...this.#named.values()].flat().sort((a, b) => byName(a.node, b.node));
    const ordered = this.#ordered;
    for (let at = after ? firstAfter(ordered, after) : 0; at < ordered.length; at++) yield ordered[at] as Record;
  }
}

function firstAfter(ordered: readonly { node: NodeFacts }[], after: Pick<NodeFacts, "name" | "id">): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (byName((ordered[middle] as { node: NodeFacts }).node, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
