/**
 * Simulated time: events in the order of their time and, within one tick, of their scheduling. Near events wait in a
 * wheel of one bucket a tick, so that scheduling costs the same with ten million of them; far ones wait in a heap.
 */

/** 1/64 ms: far below the time of one packet on the links simulated. */
const ticksPerMs = 64;
/** The wheel's horizon: about a second. */
const wheelTicks = 64 * 1024;
/** Events between two turns of Node's own loop, so that a test's timeout can strike. */
const eventsPerTurn = 16 * 1024;

export interface SimEvent {
  /** True if it ran code that may have left promises to settle. */
  fire(): boolean;
}

interface FarEvent {
  tick: number;
  order: number;
  event: SimEvent;
}

export class EventQueue {
  readonly #wheel: (SimEvent[] | undefined)[] = new Array(wheelTicks).fill(undefined);
  readonly #far: FarEvent[] = [];
  #tick = 0;
  /** The bucket at hand and how far it is done. */
  #bucket: SimEvent[] | undefined;
  #bucketAt = 0;
  #nearCount = 0;
  #order = 0;
  /** Events that have come to pass. */
  fired = 0;

  get nowMs(): number {
    return this.#tick / ticksPerMs;
  }

  at(timeMs: number, event: SimEvent): void {
    const tick = Math.max(this.#tick, Math.ceil(timeMs * ticksPerMs));
    if (tick - this.#tick >= wheelTicks) this.#pushFar({ tick, order: this.#order++, event });
    else this.#pushNear(tick, event);
  }

  /** Calls `run` after `delayMs`; the function returned cancels it. */
  after(delayMs: number, run: () => void): () => void {
    const timer = new Timer(run);
    this.at(this.nowMs + delayMs, timer);
    return () => timer.cancel();
  }

  /**
   * Lets time pass until `isOver` or nothing is left. After each event all promises settle before the next: microtasks
   * are emptied between two turns of process.nextTick, which is Node's documented order.
   */
  run(isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = Promise.resolve();
      // Promises that are there already may have something to schedule.
      let isSettled = false;
      let turnEndsAt = this.fired + eventsPerTurn;
      const step = () => {
        try {
          for (;;) {
            if (isOver()) return resolve();
            const event = this.#next();
            if (!event && isSettled) return resolve();
            isSettled = event === undefined;
            if (!event) break;
            this.fired++;
            if (event.fire()) break;
          }
        } catch (error) {
          return reject(error as Error);
        }
        if (this.fired < turnEndsAt) {
          settled.then(settle, reject);
          return;
        }
        turnEndsAt = this.fired + eventsPerTurn;
        setImmediate(step);
      };
      const settle = () => process.nextTick(step);
      step();
    });
  }

  #next(): SimEvent | undefined {
    for (;;) {
      const bucket = this.#bucket;
      if (bucket && this.#bucketAt < bucket.length) {
        this.#nearCount--;
        return bucket[this.#bucketAt++]!;
      }
      if (bucket) this.#wheel[this.#tick % wheelTicks] = undefined;
      this.#bucket = undefined;
      if (!this.#advance()) return undefined;
    }
  }

  /** To the next tick that has events. */
  #advance(): boolean {
    if (this.#nearCount === 0) {
      const far = this.#far[0];
      if (!far) return false;
      // Just so far that it comes into the wheel.
      this.#tick = Math.max(this.#tick, far.tick - 1);
      this.#moveNearer();
    }
    do {
      // The tick at hand may have got events after its bucket was done with.
      if (this.#wheel[this.#tick % wheelTicks] === undefined) {
        this.#tick++;
        this.#moveNearer();
      }
      this.#bucket = this.#wheel[this.#tick % wheelTicks];
    } while (this.#bucket === undefined);
    this.#bucketAt = 0;
    return true;
  }

  #moveNearer(): void {
    while (this.#far.length > 0 && this.#far[0]!.tick - this.#tick < wheelTicks) {
      const { tick, event } = this.#popFar();
      this.#pushNear(tick, event);
    }
  }

  #pushNear(tick: number, event: SimEvent): void {
    this.#nearCount++;
    const at = tick % wheelTicks;
    const bucket = this.#wheel[at];
    if (bucket) bucket.push(event);
    else this.#wheel[at] = [event];
  }

  #pushFar(far: FarEvent): void {
    const heap = this.#far;
    let at = heap.length;
    heap.push(far);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, far)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = far;
  }

  #popFar(): FarEvent {
    const heap = this.#far;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(one: FarEvent, other: FarEvent): boolean {
  return one.tick < other.tick || (one.tick === other.tick && one.order < other.order);
}

class Timer implements SimEvent {
  #run: (() => void) | undefined;

  constructor(run: () => void) {
    this.#run = run;
  }

  cancel(): void {
    this.#run = undefined;
  }

  fire(): boolean {
    if (!this.#run) return false;
    this.#run();
    return true;
  }
}
