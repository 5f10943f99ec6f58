/**
 * Who may be sent bytes now, of all nodes that fall back to HTTP: so many responses at once, and a time to come back for
 * everybody else. Decisions only; the time and the randomness come from outside.
 *
 * Who is refused gets a place in a line of nodes, and a time at which a slot should be free: those times follow each other
 * as slots are given back, so that ten thousand nodes that ask in one second do not ask again in one second. A slot is kept
 * for a node whose time has come, so who was served just now does not get ahead of those who wait. Some may be kept
 * waiting in place of being refused: they come before everybody who asks later.
 */

/** How long a response takes before any has been seen, and the least and the most that one counts for. */
const usualMsFirst = 500;
const usualMsMin = 20;
const usualMsMax = 60_000;
/** The share of the last response in what is usual. */
const usualWeight = 1 / 8;
/** Times to come back: the soonest, and the latest, beyond which nodes are spread at random. */
const retryMsMin = 100;
const retryMsMax = 300_000;
/** How long a slot is kept for a node whose time has come. */
const keptMs = 1_000;
/** A node that has not come back so long after its time has lost its place. */
const placeLostMs = 60_000;
/** Nodes in the line: all that an inventory knows. Beyond it, they are sent away without a place. */
const waitingMax = 10_000;
/** Places looked at for those whose time has come: they are the first. */
const placesLookedAt = 256;

export type SlotAnswer = { granted: true } | { granted: false; retryAfterMs: number };

export class FallbackSlots {
  readonly #slots: number;
  readonly #random: () => number;
  /** Slots that each node holds. */
  readonly #held = new Map<string, number>();
  /** When each waiting node's time comes; who came first is first. */
  readonly #dueAtMs = new Map<string, number>();
  #inUse = 0;
  #usualMs = usualMsFirst;
  #lastDueAtMs = 0;

  /** `random` is uniform in [0, 1). */
  constructor(slots: number, random: () => number) {
    this.#slots = slots;
    this.#random = random;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** Nodes that have been told when to come back. */
  get waiting(): number {
    return this.#dueAtMs.size;
  }

  /** A node asks for a slot; it has it until `release`. */
  ask(node: string, nowMs: number): SlotAnswer {
    this.#forgetAbsent(nowMs);
    if (this.#mayHave(node, nowMs)) {
      this.#grant(node);
      return { granted: true };
    }
    return { granted: false, retryAfterMs: Math.max(retryMsMin, this.#placeOf(node, nowMs) - nowMs) };
  }

  /** Gives a free slot to the first of those kept waiting that may have one; says which, by its place in the line. */
  grantOneOf(line: readonly string[]): number | undefined {
    if (this.#inUse >= this.#slots) return undefined;
    const index = line.findIndex((node) => this.#othersWaiting(node) === 0 || this.heldBy(node) < this.share(node));
    if (index < 0) return undefined;
    this.#grant(line[index] as string);
    return index;
  }

  #grant(node: string): void {
    this.#dueAtMs.delete(node);
    this.#held.set(node, this.heldBy(node) + 1);
    this.#inUse++;
  }

  /** The response has ended, after `heldMs`. */
  release(node: string, heldMs: number): void {
    const held = this.heldBy(node);
    if (held === 0) throw new Error(`assertion: ${node} holds no slot`);
    if (held === 1) this.#held.delete(node);
    else this.#held.set(node, held - 1);
    this.#inUse--;
    const counted = Math.min(Math.max(heldMs, usualMsMin), usualMsMax);
    this.#usualMs += (counted - this.#usualMs) * usualWeight;
  }

  heldBy(node: string): number {
    return this.#held.get(node) ?? 0;
  }

  /** Slots that a node may hold while others wait. */
  share(node: string): number {
    const nodes = new Set([...this.#held.keys(), node]).size + this.#othersWaiting(node);
    return Math.max(1, Math.floor(this.#slots / nodes));
  }

  #mayHave(node: string, nowMs: number): boolean {
    const free = this.#slots - this.#inUse;
    if (free <= 0) return false;
    const others = this.#othersWaiting(node);
    if (others === 0) return true;
    if (this.heldBy(node) >= this.share(node)) return false;
    const dueAtMs = this.#dueAtMs.get(node);
    if (dueAtMs !== undefined && dueAtMs <= nowMs) return true;
    // All slots change hands once in the usual time: no more come free than those who are due by then will want.
    return (
      free > this.#dueOthers(node, nowMs, nowMs, free) &&
      this.#slots > this.#dueOthers(node, nowMs, nowMs + this.#usualMs, this.#slots)
    );
  }

  #othersWaiting(node: string): number {
    return this.#dueAtMs.size - (this.#dueAtMs.has(node) ? 1 : 0);
  }

  /** How many others' time has come, or will have come by then; `max` at the most. */
  #dueOthers(node: string, nowMs: number, byMs: number, max: number): number {
    let due = 0;
    let looked = 0;
    for (const [other, dueAtMs] of this.#dueAtMs) {
      if (due >= max || ++looked > placesLookedAt) break;
      if (other !== node && dueAtMs <= byMs && dueAtMs > nowMs - keptMs) due++;
    }
    return due;
  }

  /** When a refused node is to come back. It keeps its place, and the time it was told if that has not come. */
  #placeOf(node: string, nowMs: number): number {
    const known = this.#dueAtMs.get(node);
    if (known !== undefined && known > nowMs) return known;
    if (known !== undefined) {
      const dueAtMs = nowMs + this.#usualMs * (0.5 + this.#random());
      this.#dueAtMs.set(node, dueAtMs);
      return dueAtMs;
    }
    const dueAtMs = this.#nextDue(nowMs);
    if (this.#dueAtMs.size < waitingMax) this.#dueAtMs.set(node, dueAtMs);
    return dueAtMs;
  }

  /** One more slot's turn after the last that was promised. */
  #nextDue(nowMs: number): number {
    const soonest = Math.max(this.#lastDueAtMs, nowMs + this.#usualMs / 2);
    const dueAtMs = soonest + this.#usualMs / this.#slots;
    if (dueAtMs > nowMs + retryMsMax) return nowMs + retryMsMax * (0.5 + this.#random() / 2);
    this.#lastDueAtMs = dueAtMs;
    return dueAtMs;
  }

  #forgetAbsent(nowMs: number): void {
    for (const [node, dueAtMs] of this.#dueAtMs) {
      if (dueAtMs > nowMs - placeLostMs) return;
      this.#dueAtMs.delete(node);
    }
  }
}
