/** What the benchmark compares: each contender brings the same images from the seeder to every node of the same lab. */
import type { Lab } from "./lab.ts";

/** An image to distribute. */
export interface BenchImage {
  name: string;
  path: string;
  sha256: string;
  sizeBytes: number;
}

/** What concerns bootswarm alone. */
export interface AgentOptions {
  /** Settings of the agents, as KEY=VALUE. */
  settings: string[];
  /** Settings of the seeder, likewise. */
  seederSettings: string[];
  /** The DHT and the seeder's peer port are out of reach. */
  noDht: boolean;
  /** The checkout whose program is run. */
  checkout: string;
  /** Whether the daemons of that checkout have a setting "zone". */
  knowZones: boolean;
  /** Where Node keeps compiled code from one process to the next, so that dozens start sooner; nowhere if undefined. */
  compileCache: string | undefined;
  /** An image that every agent fetches before the clock starts. */
  warmUp: BenchImage | undefined;
}

export interface ContenderOptions {
  lab: Lab;
  images: BenchImage[];
  /** For the processes' files; an empty directory. */
  directory: string;
  /** Where each process's output is kept, if anywhere. */
  logDirectory: string | undefined;
  agents: AgentOptions;
  signal: AbortSignal;
}

/** An image became ready on a node. */
export interface Ready {
  node: string;
  image: string;
  /** When, in milliseconds of the wall clock. */
  atMs: number;
  /** The file, to be checked once all is over. */
  path: string;
}

export interface SeederPayload {
  swarmBytes: number;
  httpBytes: number;
}

/** A contender that stands ready in the lab, its images published. */
export interface Field extends AsyncDisposable {
  seederPid: number;
  nodePids: number[];
  /** Asks every node for every image, at once; tells of each that is ready; resolves when all are. */
  fetchAll(onReady: (ready: Ready) => void): Promise<void>;
  /** Bytes of images that the seeder has sent so far. */
  seederPayload(): Promise<SeederPayload>;
}

export type Contender = (options: ContenderOptions) => Promise<Field>;
