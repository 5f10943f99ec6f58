/**
 * How likely a launch finds no node that has its image and can take it. Pure.
 *
 * A zone has n nodes, c of them have the image, and of all n the scheduler can use f for this launch: those with room for
 * the machine that pass its filters; which ones they are is taken for random. Placement goes by cache, so the launch
 * misses only if none of the f has the image:
 *
 *     miss(c) = C(n-f, c) / C(n, c) = (n-f)/n x (n-f-1)/(n-1) x ... (c factors)
 *
 * With f = 1 there is nothing to choose from, and miss(c) = 1 - c/n: what a scheduler is that knows nothing of caches. With
 * f = n one copy is enough. What a further copy spares is
 *
 *     miss(c) - miss(c+1) = miss(c) x f / (n-c)
 *
 * and falls with c by (n-f-c)/(n-c-1) <= 1 each time: the first copies matter most, which is what lets a plan take the best
 * next copy again and again. With a quarter of 100 nodes to choose from, a launch misses with 1, 2, 4, 8, 16 copies in
 * 75 %, 56 %, 31 %, 9 %, 0.7 % of cases: there is no need for an image to be everywhere.
 */
export class MissModel {
  readonly nodes: number;
  readonly #choice: number;
  /** By copies. */
  readonly #miss: Float64Array;

  /**
   * @param nodes of the zone
   * @param choiceShare share of them that a launch can choose among, in (0, 1]
   */
  constructor(nodes: number, choiceShare: number) {
    this.nodes = nodes;
    this.#choice = Math.min(Math.max(nodes * choiceShare, 1), nodes);
    this.#miss = new Float64Array(nodes + 1);
    this.#miss[0] = 1;
    for (let copies = 0; copies < nodes; copies++) {
      const factor = Math.max(0, (nodes - this.#choice - copies) / (nodes - copies));
      this.#miss[copies + 1] = (this.#miss[copies] as number) * factor;
    }
  }

  /** Share of launches that find no free node with the image, in [0, 1]. */
  missShare(copies: number): number {
    return this.#miss[Math.min(copies, this.nodes)] ?? 1;
  }

  /** How much a further copy takes off that share. */
  sparedByNext(copies: number): number {
    return copies >= this.nodes ? 0 : this.missShare(copies) - this.missShare(copies + 1);
  }
}
