/** Reads of disks that failed: why, for the log and for whoever lists the disks. */
import type { Log } from "../../daemon/log.ts";
import type { Clock } from "../../swarm/types.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Demand } from "./demand.ts";
import type { FromDiskWorker } from "./messages.ts";
import { Sparingly } from "./sparingly.ts";

type ReadFailed = Extract<FromDiskWorker, { kind: "read-failed" }>;

/** A read that failed so long ago says nothing of the disk as it is now; the log has it still. */
const shownForMs = 600_000;

export interface ReadFailuresOptions {
  demand: Pick<Demand, "infoOf">;
  fetches: Pick<Fetches, "get">;
  /** A read failed since what it needed had not come in time. */
  onTimeout: () => void;
  clock: Clock;
  log: Log;
}

export class ReadFailures {
  readonly #options: ReadFailuresOptions;
  /** By export: the last one. */
  readonly #last = new Map<string, { why: string; atMs: number }>();
  readonly #told = new Map<string, Sparingly>();

  constructor(options: ReadFailuresOptions) {
    this.#options = options;
  }

  /** A read of an export of the image failed. */
  note(event: ReadFailed, export_: { name: string; digest: string } | undefined): void {
    const { log, clock, onTimeout } = this.#options;
    if (event.isTimeout) onTimeout();
    const why = event.isTimeout && export_ ? `${event.error}; ${this.#waitedFor(event, export_.digest)}` : event.error;
    this.#last.set(event.id, { why: `a read failed: ${why}`, atMs: clock.now() });
    const told = this.#told.get(event.id) ?? new Sparingly();
    this.#told.set(event.id, told);
    const count = told.note(clock.now());
    if (count === undefined) return;
    const { offset, length } = event;
    log.error({ disk: export_?.name ?? event.id, offset, length, error: why, count }, "a disk's read failed");
  }

  /** Why an export's last read that failed did so; empty if none has within ten minutes. */
  of(id: string): string {
    const last = this.#last.get(id);
    return last && this.#options.clock.now() - last.atMs <= shownForMs ? last.why : "";
  }

  /** The export is closed. */
  forget(id: string): void {
    this.#last.delete(id);
    this.#told.delete(id);
  }

  #waitedFor({ offset, length }: ReadFailed, digest: string): string {
    const info = this.#options.demand.infoOf(digest);
    const first = info && Math.floor(offset / info.pieceLengthBytes);
    const last = info && Math.floor((offset + length - 1) / info.pieceLengthBytes);
    const pieces = first === last ? `piece ${first}` : `pieces ${first} to ${last}`;
    const what = info ? `it needs ${pieces} of ${info.pieceCount}` : "what the pieces of its image are is not known";
    const fetch = this.#options.fetches.get(digest)?.view();
    if (!fetch) return `${what}, and the image is not being fetched`;
    const peers = fetch.peers === 1 ? "1 peer" : `${fetch.peers} peers`;
    const error = fetch.error && `: ${fetch.error}`;
    return `${what}; its fetch is ${fetch.state} with ${peers} (${fetch.activity}${error})`;
  }
}
