/** What the catalog's API needs of imports. The importer lives in seeder/import and is wired in seeder.ts. */
import type { Import } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";

export interface ImportRequest {
  /** An http or https URL, or a magnet link; ignored where `torrentFile` is given. */
  source: string;
  /** A .torrent file's bytes; empty if there are none. */
  torrentFile: Uint8Array;
  /** The name to publish under. */
  name: string;
  /** The sha256 that the image must have; empty to take what comes. */
  sha256: string;
  /** Path of the wanted file in a torrent of several; empty takes the only or largest file. */
  file: string;
  /** Whether the public DHT may be asked for a torrent's peers. */
  publicDht: boolean;
}

export interface Importer {
  /**
   * Admits an import and answers with it as it stands, queued or already active.
   *
   * @throws Problem "invalid" for a source or name that cannot be, "already-exists" for a name that is taken,
   * "exhausted" if too many imports wait.
   */
  start(request: ImportRequest): Promise<Import>;
  /**
   * The import now and after every change, at most a few times a second; ends after its last state or when `signal`
   * aborts. Ending it does not end the import.
   *
   * @throws Problem "not-found".
   */
  watch(id: string, signal: AbortSignal): AsyncIterable<Import>;
  /** Imports that run, and those that ended lately, newest first. */
  list(): Import[];
  /**
   * Ends an import and answers once nothing of it stays. One that has ended is answered as it is.
   *
   * @throws Problem "not-found".
   */
  cancel(id: string): Promise<Import>;
  /** Ends all child processes; imports that ran are started again by the next `createImporter` on the same directory. */
  close(): Promise<void>;
}
