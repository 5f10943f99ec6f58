/**
 * Records boots: which reads a disk answers from its first to when the guest is up, and makes the image's boot image of
 * them. One node records an image's boot: the one that has the catalog's claim on it.
 */
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import { type BackoffLimits, backoffMs } from "../backoff.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { ChangeSignal } from "../change-signal.ts";
import { wait } from "../clock.ts";
import type { RecordingProgress } from "../disk/messages.ts";
import { bootNameOf } from "./boot-names.ts";
import { type MadeBootImage, makeBootImage } from "./make-boot-image.ts";
import { automaticRules, type RecordingEnd, type RecordingRules, recordingEnd } from "./recording-end.ts";

export const recordModes = ["auto", "off"] as const;
export type RecordMode = (typeof recordModes)[number];

/** How often is looked whether the guest is up. */
const lookIntervalMs = 500;
/** A claim outlasts two failures to extend it. */
const claimMs = 180_000;
const extendMs = 60_000;
const askTimeoutMs = 10_000;
/** A restart of the seeder is over by then; the boot that was recorded is worth some patience. */
const uploadAttemptsMax = 10;
const retryLimits: BackoffLimits = { firstMs: 1_000, longestMs: 30_000 };
/** A recorded boot waits no longer for its image: the claim on it keeps other nodes from recording. */
const waitingMsMax = 6 * 60 * 60 * 1_000;
/** Recordings that have ended and are still listed. */
const endedMax = 50;

export type RecordingState = "recording" | "waiting" | "packing" | "publishing" | "published" | "failed";

/** A recording as it is at one moment. */
export interface RecordingView {
  /** The image's digest, and the disk that is recorded. */
  digest: string;
  disk: string;
  state: RecordingState;
  startedAt: Date;
  reads: number;
  blockBytes: number;
  /** Size of the boot image; 0 until it is made. */
  bootImageBytes: number;
  /** Bytes that like boot images have already. */
  sharedBytes: number;
  error: string;
}

/** What a recording needs of the disk worker's host. */
export interface RecordingHost {
  record(id: string): void;
  isRecording(id: string): boolean;
  recordingProgress(id: string): RecordingProgress | undefined;
  stopRecording(id: string): Promise<Float64Array>;
}

/** A disk that is served. */
export interface RecordableDisk {
  id: string;
  name: string;
  digest: string;
}

export interface RecorderOptions {
  mode: RecordMode;
  rules: RecordingRules;
  node: { id: string; name: string };
  host: RecordingHost;
  cache: ImageCache;
  catalog: Pick<Catalog, "claimBootRecording" | "releaseBootRecording" | "getImage">;
  upload: (imageDigest: string, made: MadeBootImage, signal: AbortSignal) => Promise<void>;
  /** Told of each that ends. */
  onEnded: (state: "published" | "failed") => void;
  clock: Clock;
  random: () => number;
  now: () => Date;
  log: Log;
}

interface Recording {
  view: RecordingView;
  disk: RecordableDisk;
  rules: RecordingRules;
  /** Ends it as it is, or, aborted, without a boot image. */
  stop: PromiseWithResolvers<void>;
  abort: AbortController;
  ended: Promise<void>;
}

export class Recorder {
  /** Notified when a recording begins, ends or gets on. */
  readonly changes = new ChangeSignal();
  readonly #options: RecorderOptions;
  /** By the image's digest. */
  readonly #current = new Map<string, Recording>();
  #ended: RecordingView[] = [];

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Recordings under way, then those that ended lately, the latest first. */
  list(): RecordingView[] {
    return [...[...this.#current.values()].map(({ view }) => view), ...this.#ended];
  }

  /** The recording of an image's boot: that under way, or the last. */
  find(digest: string): RecordingView | undefined {
    return this.list().find((view) => view.digest === digest);
  }

  /** Whether a disk's reads are being recorded. */
  isRecording(id: string): boolean {
    return [...this.#current.values()].some(({ disk, view }) => disk.id === id && view.state === "recording");
  }

  /** A disk is served from now on: its boot is recorded if nobody has recorded one of this image. Never rejects. */
  async diskOpened(disk: RecordableDisk): Promise<void> {
    const { mode, cache, log } = this.#options;
    if (mode === "off" || this.#current.has(disk.digest)) return;
    if (cache.findByName(bootNameOf(disk.digest)) !== undefined) return;
    const rules = automaticRules(cache.get(disk.digest)?.record.sizeBytes ?? 0);
    await this.start(disk, rules).catch((error: unknown) => {
      const isUsual = error instanceof Problem && ["already-exists", "conflict"].includes(error.kind);
      log[isUsual ? "debug" : "info"]({ digest: disk.digest, error: messageOf(error) }, "this boot is not recorded");
    });
  }

  /** A disk is served no more: what is recorded of it ends. */
  diskClosed(id: string): void {
    for (const recording of this.#current.values()) {
      if (recording.disk.id === id && recording.view.state === "recording") {
        recording.abort.abort(new Problem("conflict", "the disk was detached before the guest was up"));
      }
    }
  }

  /**
   * Begins to record a disk. Its reads count from this call on.
   *
   * @throws Problem "conflict" if the image's boot is being recorded, here or elsewhere; "already-exists" if it was;
   * "unavailable" if the seeder cannot be asked.
   */
  async start(disk: RecordableDisk, rules: Partial<RecordingRules>): Promise<RecordingView> {
    const { host, catalog, now, cache } = this.#options;
    const { digest } = disk;
    if (cache.get(digest)?.record.bootOf !== undefined) {
      throw new Problem("invalid", "this is a boot image: name the image whose boot is to be recorded");
    }
    const other = this.#current.get(digest)?.disk.name;
    if (other !== undefined) {
      const stop = "`bootswarm boot stop IMAGE` ends that";
      throw new Problem("conflict", `a boot of this image is being recorded already, through disk "${other}"; ${stop}`);
    }
    const recording: Recording = {
      disk,
      rules: { ...this.#options.rules, ...rules },
      stop: Promise.withResolvers(),
      abort: new AbortController(),
      ended: Promise.resolve(),
      view: {
        ...{ digest, disk: disk.name, state: "recording", startedAt: now(), reads: 0, blockBytes: 0 },
        ...{ bootImageBytes: 0, sharedBytes: 0, error: "" },
      },
    };
    this.#current.set(digest, recording);
    // Before the claim: the guest may be reading already.
    host.record(disk.id);
    try {
      await catalog.claimBootRecording({ ...this.#claimOf(digest), durationMs: claimMs }, askTimeoutMs);
    } catch (error) {
      this.#current.delete(digest);
      await host.stopRecording(disk.id).catch(() => {});
      throw error;
    }
    this.changes.notify();
    recording.ended = this.#run(recording);
    return recording.view;
  }

  /**
   * Ends a recording: what was read until now is the boot. One that waits for its image is given up.
   *
   * @throws Problem "not-found"
   */
  stop(digest: string): RecordingView {
    const recording = this.#current.get(digest);
    if (!recording) throw new Problem("not-found", "no boot of this image is being recorded on this node");
    recording.stop.resolve();
    if (recording.view.state === "waiting") {
      recording.abort.abort(new Problem("cancelled", "it was stopped before the image was complete"));
    }
    return recording.view;
  }

  /** Ends all recordings without a boot image. */
  async close(): Promise<void> {
    const all = [...this.#current.values()];
    for (const { abort } of all) abort.abort(new Problem("cancelled", "the agent is stopping"));
    await Promise.all(all.map(({ ended }) => ended));
  }

  #claimOf(digest: string) {
    const { node } = this.#options;
    return { image: digest, nodeId: node.id, nodeName: node.name };
  }

  async #run(recording: Recording): Promise<void> {
    const { catalog, log, onEnded } = this.#options;
    const { view, abort } = recording;
    const extending = this.#extendClaim(recording);
    let made: MadeBootImage | undefined;
    try {
      const reads = await this.#record(recording);
      this.#note(recording, { state: "waiting" });
      await this.#whenComplete(recording);
      this.#note(recording, { state: "packing" });
      made = await this.#make(view.digest, reads);
      const { sharedBytes } = made.packed;
      this.#note(recording, { state: "publishing", bootImageBytes: made.sizeBytes, sharedBytes });
      await this.#upload(view.digest, made, abort.signal);
      this.#note(recording, { state: "published" });
      const { reads: readCount, blockBytes, bootImageBytes } = recording.view;
      log.info({ digest: view.digest, reads: readCount, blockBytes, bootImageBytes, sharedBytes }, "recorded a boot");
    } catch (error) {
      this.#note(recording, { state: "failed", error: messageOf(error) });
      log.warn({ digest: view.digest, disk: view.disk, error: messageOf(error) }, "a boot was not recorded");
    }
    await made?.remove().catch(() => {});
    abort.abort(new Problem("cancelled", "the recording has ended"));
    await extending;
    this.#current.delete(view.digest);
    this.#ended = [recording.view, ...this.#ended].slice(0, endedMax);
    onEnded(recording.view.state === "published" ? "published" : "failed");
    this.changes.notify();
    await catalog.releaseBootRecording(this.#claimOf(view.digest), askTimeoutMs).catch(() => {});
  }

  /** The reads from now until the guest is up. */
  async #record(recording: Recording): Promise<[number, number][]> {
    const { host, clock } = this.#options;
    const { disk, rules, abort, stop } = recording;
    const startMs = clock.now();
    let isStopped = false;
    void stop.promise.then(() => {
      isStopped = true;
    });
    try {
      for (;;) {
        await Promise.race([wait(clock, lookIntervalMs, abort.signal), stop.promise]);
        if (!host.isRecording(disk.id))
          throw new Problem("unavailable", "the disk worker was started anew; record again");
        const progress = host.recordingProgress(disk.id);
        if (progress && progress.reads !== recording.view.reads) {
          this.#note(recording, { reads: progress.reads, blockBytes: progress.blockBytes });
        }
        if (isStopped) break;
        const end = recordingEnd(progress, clock.now() - startMs, rules);
        checkIsBoot(end, rules);
        if (end) break;
      }
    } catch (error) {
      await host.stopRecording(disk.id).catch(() => {});
      throw error;
    }
    return pairsOf(await host.stopRecording(disk.id));
  }

  /** Waits for the image: the boot image is made of its verified file. */
  async #whenComplete({ view: { digest }, abort }: Recording): Promise<void> {
    const { cache, clock } = this.#options;
    const tooLate = new Problem("conflict", "the image has not become complete for six hours; see `bootswarm fetches`");
    const cancel = clock.after(waitingMsMax, () => abort.abort(tooLate));
    try {
      for (;;) {
        const { version } = cache.changes;
        const entry = cache.get(digest);
        if (entry?.complete) return;
        if (!entry) throw new Problem("conflict", "the image was removed before its boot image could be made");
        await cache.changes.after(version, abort.signal);
        abort.signal.throwIfAborted();
      }
    } finally {
      cancel();
    }
  }

  async #make(digest: string, reads: [number, number][]): Promise<MadeBootImage> {
    const { cache, log } = this.#options;
    const image = cache.get(digest);
    if (!image) throw new Problem("conflict", "the image was removed before its boot image could be made");
    const { disk, tmp } = cache.layout;
    const here = cache.list().filter(({ complete, record }) => complete && record.bootOf !== undefined);
    // One without a name has left the catalog.
    const candidates = here.filter(({ record }) => record.names.length > 0);
    return await makeBootImage({ image, reads, candidates, disk, temporaryDirectory: tmp, log });
  }

  /** Publishes it, trying again while the seeder does not answer. */
  async #upload(digest: string, made: MadeBootImage, signal: AbortSignal): Promise<void> {
    const { upload, clock, random, log } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await upload(digest, made, signal);
      } catch (error) {
        const isWorthIt = error instanceof Problem && error.kind === "unavailable" && attempt < uploadAttemptsMax;
        if (signal.aborted || !isWorthIt) throw error;
        log.info({ digest, error: messageOf(error) }, "cannot publish a boot image yet");
        await wait(clock, backoffMs(attempt, retryLimits, random), signal);
      }
    }
  }

  /** Keeps the claim while a slow boot goes on. Never rejects. */
  async #extendClaim({ view: { digest }, abort }: Recording): Promise<void> {
    const { catalog, clock } = this.#options;
    const { signal } = abort;
    while (!signal.aborted) {
      await wait(clock, extendMs, signal).catch(() => {});
      if (signal.aborted) return;
      // Without the seeder there is nobody to record it twice.
      await catalog.claimBootRecording({ ...this.#claimOf(digest), durationMs: claimMs }, askTimeoutMs).catch(() => {});
    }
  }

  #note(recording: Recording, change: Partial<RecordingView>): void {
    recording.view = { ...recording.view, ...change };
    this.changes.notify();
  }
}

/** @throws Problem "conflict" for what was no boot. */
function checkIsBoot(end: RecordingEnd | undefined, { firstReadMs }: RecordingRules): void {
  const again = "boot a VM on it while it is recorded (bootswarm boot record)";
  switch (end) {
    case "nothing-read":
      throw new Problem("conflict", `nobody has read the disk for ${Math.round(firstReadMs / 1_000)} s; ${again}`);
    case "too-little":
      throw new Problem("conflict", `too little was read of the disk for a boot; ${again}`);
    case "too-much":
      throw new Problem("conflict", `nearly all of the disk was read, as by a copy and not by a boot; ${again}`);
  }
}

function pairsOf(reads: Float64Array): [number, number][] {
  return Array.from({ length: reads.length / 2 }, (_, index) => [
    reads[2 * index] as number,
    reads[2 * index + 1] as number,
  ]);
}
