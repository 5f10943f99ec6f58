/**
 * Finds nodes by what schedulers call their hosts, which need not be what agents call their nodes: Nova may know
 * `compute-7` and the agent `Compute-7.example.org`, or the other way round. Pure.
 *
 * A host is the node of that id, else of that name, else of that name in any case, else the one node whose name has a
 * domain where the host's has none, or none where the host's has one. Two different domains never match.
 */

/** Anything with an id and a name. */
export interface Named {
  id: string;
  name: string;
}

/** Nodes by all spellings of their names but their own. */
export class HostNames<Node extends Named> {
  /** In lower case. */
  readonly #whole = new Map<string, Node[]>();
  /** First labels of names with a domain, in lower case. */
  readonly #short = new Map<string, Node[]>();

  constructor(nodes: Iterable<Node>) {
    for (const node of nodes) {
      const name = node.name.toLowerCase();
      push(this.#whole, name, node);
      const short = shortName(name);
      if (short !== name) push(this.#short, short, node);
    }
  }

  /** The nodes that a host may be, best spelling only: one, none, or several of which nobody can tell which is meant. */
  find(host: string): readonly Node[] {
    const name = host.toLowerCase();
    const whole = this.#whole.get(name);
    if (whole) return exactly(whole, host) ?? whole;
    const short = shortName(name);
    return (short === name ? this.#short.get(name) : this.#whole.get(short)) ?? [];
  }
}

/** Of names that differ in case only, the one that is spelt so. */
function exactly<Node extends Named>(nodes: readonly Node[], host: string): readonly Node[] | undefined {
  if (nodes.length === 1) return undefined;
  const exact = nodes.filter(({ name }) => name === host);
  return exact.length > 0 ? exact : undefined;
}

/** "compute-7" of "compute-7.example.org"; an IPv4 address has no short name. */
function shortName(name: string): string {
  const dot = name.indexOf(".");
  return dot <= 0 || /^[\d.]+$/.test(name) ? name : name.slice(0, dot);
}

function push<Node>(lists: Map<string, Node[]>, key: string, node: Node): void {
  const list = lists.get(key);
  if (list) list.push(node);
  else lists.set(key, [node]);
}
