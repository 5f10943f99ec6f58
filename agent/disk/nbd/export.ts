import type { Disk } from "../disk.ts";

/** What a client can ask for by name. */
export interface NbdExport {
  readonly name: string;
  readonly description: string;
  /** Asked for anew with each request: layers come and go while clients are connected. */
  readonly disk: Disk;
  /** Counted up by connections. */
  readonly counters: NbdCounters;
  /** A read was answered with EIO. */
  readFailed(offset: number, length: number, error: unknown): void;
}

export interface NbdCounters {
  connections: number;
  reads: number;
  readBytes: number;
  errors: number;
  /** Milliseconds since 1970; 0 before the first read. */
  lastReadAtMs: number;
}

/** The exports of one listener. */
export interface ExportDirectory {
  find(name: string): NbdExport | undefined;
  names(): string[];
}

/** What client and server have agreed on for the transmission phase. */
export interface Agreed {
  structuredReplies: boolean;
  /** The metadata context base:allocation: block status may be asked for. */
  allocation: boolean;
}
