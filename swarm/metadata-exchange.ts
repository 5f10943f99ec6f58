/**
 * One torrent's ut_metadata traffic (BEP 9): gives the info dictionary to peers, and gets it from them while it lacks.
 * A few peers are asked at once, each for the whole: the first correct answer ends it, and one that is slow or lies holds
 * up nobody. A peer that refuses or lets its time pass rests and is asked again; what it sends meanwhile is taken.
 */
import { FloodGuard } from "./flood-guard.ts";
import {
  blockBytes,
  infoBytesMax,
  metadataAnswersMin,
  metadataAnswersPerSecondMax,
  metadataBytesPerSecondMin,
  metadataDeadlineMs,
  metadataKeptBytesMax,
  metadataPeersMax,
  metadataRestMsMax,
  metadataRestMsMin,
  metadataTimeoutMs,
  metadataUnsentBytesMax,
} from "./limits.ts";
import {
  answerMetadataRequest,
  encodeMetadataMessage,
  MetadataDownload,
  type MetadataPart,
  metadataMessageFrom,
} from "./metadata.ts";
import type { Peer } from "./peer.ts";
import type { Clock } from "./types.ts";
import { encodeExtended } from "./wire.ts";

export interface MetadataExchangeOptions {
  infohash: string;
  clock: Clock;
  /** Length of the torrent's data, where it is known: it bounds what a peer may claim. */
  expectedLengthBytes: number | undefined;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  /** The bytes are what the infohash names; whether they make sense is the owner's to see. */
  onInfoBytes: (infoBytes: Uint8Array) => void;
}

/** How it stands with one peer that has been asked. */
interface Attempt {
  /** What has come so far; let go when too much is kept of peers that rest. */
  download: MetadataDownload | undefined;
  /** Asked and waited for; otherwise it rests. */
  isActive: boolean;
  failures: number;
  restUntilMs: number;
  /** When a part last came or, if none has, when it was asked. */
  progressAtMs: number;
  deadlineAtMs: number;
}

export class MetadataExchange {
  readonly #options: MetadataExchangeOptions;
  readonly #sizeBytesMax: number;
  /** Peers asked, those that rested last coming last. */
  readonly #attempts = new Map<Peer, Attempt>();
  /** How much peers have asked for. */
  #guards = new WeakMap<Peer, FloodGuard>();
  #infoBytes: Uint8Array | undefined;

  constructor(options: MetadataExchangeOptions) {
    this.#options = options;
    this.#sizeBytesMax = sizeBytesMaxFor(options.expectedLengthBytes);
  }

  /** Served to peers; undefined while it is looked for. */
  get infoBytes(): Uint8Array | undefined {
    return this.#infoBytes;
  }

  set infoBytes(infoBytes: Uint8Array) {
    this.#infoBytes = infoBytes;
    this.#attempts.clear();
    // Only now do peers have reason to ask for all of it.
    this.#guards = new WeakMap();
  }

  /** @throws Error if the peer sends what makes no sense, or a dictionary that is not the infohash's. */
  onPayload(peer: Peer, payload: Uint8Array): void {
    const message = metadataMessageFrom(payload, peer.extensions.metadataBytes);
    if (message?.type === "request") {
      if (!this.#guardOf(peer).admits(this.#options.clock.now())) throw new Error("it asks for metadata without end");
      // A peer that has not said how to answer it cannot be answered.
      if (peer.extensions.metadataId === 0) return;
      const infoBytes = peer.unsentBytes > metadataUnsentBytesMax ? undefined : this.#infoBytes;
      const answer = answerMetadataRequest(infoBytes, message.part);
      peer.send(encodeExtended(peer.extensions.metadataId, encodeMetadataMessage(answer)));
      return;
    }
    const attempt = this.#attempts.get(peer);
    if (!attempt || !message) return;
    if (message.type === "data") {
      this.#takePart(peer, attempt, message);
    } else if (attempt.isActive) {
      // It does not have it yet either, or serves others; another may have it now.
      this.#rest(peer, attempt);
      this.ask();
    }
  }

  #guardOf(peer: Peer): FloodGuard {
    const nowMs = this.#options.clock.now();
    const known = this.#guards.get(peer);
    if (known) return known;
    const parts = Math.ceil((this.#infoBytes?.length ?? 0) / blockBytes);
    const guard = new FloodGuard(metadataAnswersMin + 2 * parts, metadataAnswersPerSecondMax, nowMs);
    this.#guards.set(peer, guard);
    return guard;
  }

  #takePart(peer: Peer, attempt: Attempt, part: MetadataPart): void {
    const { download } = attempt;
    if (!download) return;
    const { partsMissing } = download;
    const infoBytes = download.take(part);
    if (infoBytes) {
      this.#attempts.clear();
      this.#options.onInfoBytes(infoBytes);
      return;
    }
    // Only what is new counts as progress.
    if (download.partsMissing === partsMissing) return;
    const nowMs = this.#options.clock.now();
    if (attempt.isActive) attempt.progressAtMs = nowMs;
    else if (this.#activeCount < metadataPeersMax) activate(attempt, download, nowMs);
    if (attempt.isActive) sendRequests(peer, download);
  }

  /** Asks further peers that have it, as many as may be asked at once. */
  ask(): void {
    if (this.#infoBytes) return;
    const nowMs = this.#options.clock.now();
    for (const peer of this.#candidates(nowMs)) {
      // To send may end a connection, and that asks others.
      if (peer.closed || this.#attempts.get(peer)?.isActive) continue;
      if (this.#activeCount >= metadataPeersMax && !this.#displaceFor(peer)) return;
      this.#askPeer(peer, nowMs);
    }
  }

  peerLeft(peer: Peer): void {
    if (this.#attempts.delete(peer)) this.ask();
  }

  /** Looks who takes too long, and who has rested enough. */
  tick(nowMs: number): void {
    for (const [peer, attempt] of [...this.#attempts]) {
      const isLate = nowMs - attempt.progressAtMs > metadataTimeoutMs || nowMs > attempt.deadlineAtMs;
      if (attempt.isActive && isLate) this.#rest(peer, attempt);
    }
    this.ask();
  }

  get #activeCount(): number {
    let count = 0;
    for (const { isActive } of this.#attempts.values()) if (isActive) count++;
    return count;
  }

  /** Peers that may be asked: first those that failed least, among them those that claim least. */
  #candidates(nowMs: number): Peer[] {
    const candidates = [...this.#options.peers].filter((peer) => {
      const { metadataId, metadataBytes } = peer.extensions;
      if (metadataId === 0 || metadataBytes === 0 || metadataBytes > this.#sizeBytesMax) return false;
      const attempt = this.#attempts.get(peer);
      return !attempt || (!attempt.isActive && nowMs >= attempt.restUntilMs);
    });
    const claim = (peer: Peer) => peer.extensions.metadataBytes;
    return candidates.sort((a, b) => this.#failuresOf(a) - this.#failuresOf(b) || claim(a) - claim(b));
  }

  #failuresOf(peer: Peer): number {
    return this.#attempts.get(peer)?.failures ?? 0;
  }

  /** A peer that failed more often than `peer` makes place for it. */
  #displaceFor(peer: Peer): boolean {
    const active = [...this.#attempts].filter(([, { isActive }]) => isActive);
    const [worst] = active.sort(([, a], [, b]) => b.failures - a.failures);
    if (!worst || worst[1].failures <= this.#failuresOf(peer)) return false;
    this.#rest(...worst);
    return true;
  }

  #askPeer(peer: Peer, nowMs: number): void {
    const { metadataBytes } = peer.extensions;
    const attempt = this.#attempts.get(peer) ?? newAttempt();
    if (attempt.download?.sizeBytes !== metadataBytes) {
      attempt.download = new MetadataDownload(this.#options.infohash, metadataBytes);
    }
    attempt.download.restart();
    activate(attempt, attempt.download, nowMs);
    this.#attempts.set(peer, attempt);
    sendRequests(peer, attempt.download);
  }

  #rest(peer: Peer, attempt: Attempt): void {
    const restMs = Math.min(metadataRestMsMin * 2 ** attempt.failures, metadataRestMsMax);
    attempt.isActive = false;
    attempt.failures++;
    attempt.restUntilMs = this.#options.clock.now() + restMs;
    this.#attempts.delete(peer);
    this.#attempts.set(peer, attempt);
    this.#dropKept();
  }

  /** Lets go of what peers at rest have sent, the longest at rest first; that of the last is kept in any case. */
  #dropKept(): void {
    let keptBytes = 0;
    const resting = [...this.#attempts.values()].filter(({ isActive }) => !isActive).reverse();
    for (const attempt of resting) {
      const sizeBytes = attempt.download?.sizeBytes ?? 0;
      if (keptBytes > 0 && keptBytes + sizeBytes > metadataKeptBytesMax) attempt.download = undefined;
      else keptBytes += sizeBytes;
    }
  }
}

/** An info dictionary has 20 bytes a piece, and pieces are of 16 KiB at the least. */
function sizeBytesMaxFor(lengthBytes: number | undefined): number {
  if (lengthBytes === undefined) return infoBytesMax;
  return Math.min(infoBytesMax, 20 * Math.ceil(lengthBytes / blockBytes) + 64 * 1024);
}

function newAttempt(): Attempt {
  const times = { restUntilMs: 0, progressAtMs: 0, deadlineAtMs: 0 };
  return { download: undefined, isActive: false, failures: 0, ...times };
}

function activate(attempt: Attempt, download: MetadataDownload, nowMs: number): void {
  const transferMs = (download.sizeBytes / metadataBytesPerSecondMin) * 1_000;
  attempt.isActive = true;
  attempt.progressAtMs = nowMs;
  attempt.deadlineAtMs = nowMs + metadataDeadlineMs + transferMs;
}

function sendRequests(peer: Peer, download: MetadataDownload): void {
  for (const request of download.nextRequests()) {
    peer.send(encodeExtended(peer.extensions.metadataId, encodeMetadataMessage(request)));
  }
}
