/**
 * Which images' VMs are booting right now from what is here, pure: from the boot image, or from the image's pieces that its boot
 * profile names. The rest of such an image can wait, and the guest has the node's processors and link to itself meanwhile.
 */

/** A guest is started so soon after its disk was attached, or by somebody who is in no hurry. */
const firstReadMs = 20_000;
/**
 * A guest that reads nothing for so long is up, or busy with something else. One whose processors are emulated unpacks its
 * kernel and sets up its devices for several seconds without a read, on a loaded machine for ten.
 */
const quietMs = 20_000;
/** What reads for longer is no boot any more, or one that takes more than its boot image. */
const longestMs = 180_000;
/**
 * Where VMs of one image come and go all the time, one of them is always booting. After so long in all the image is brought
 * as if none were, until none has begun for as long.
 */
const heldMsMax = 600_000;
/** Images of which that is remembered: as many as disks may be attached. */
const heldMax = 1_000;
/** Reads that had to wait for pieces, beyond which the image itself is what the guest needs. */
const demandBytesMax = 4 * 1024 * 1024;

/** An export's reads so far, by where they came from. */
export interface BootReads {
  bootImageBytes: number;
  fileBytes: number;
  demandBytes: number;
}

/** What a VM boots from that was there when its disk was attached: the boot image, or pieces that had yet to come. */
export type BootsFrom = "boot image" | "pieces";

interface Boot extends BootReads {
  digest: string;
  from: BootsFrom;
  beganMs: number;
  readMs: number;
  demandBytesBefore: number;
  /** It has read of what it boots from. */
  hasRead: boolean;
  isOver: boolean;
}

const notToldYet = Number.POSITIVE_INFINITY;
const nothingRead: BootReads = { bootImageBytes: 0, fileBytes: 0, demandBytes: 0 };

/** When the first and the last of an image's boots began, of those that followed each other. */
interface Held {
  sinceMs: number;
  lastMs: number;
}

export class Booting {
  /** By export; each boots once. */
  readonly #boots = new Map<string, Boot>();
  /** By digest; the one whose last boot is the longest ago first. */
  readonly #held = new Map<string, Held>();
  /** Images of which all pieces are here that their boots read. */
  readonly #piecesHere = new Set<string>();

  /** An export is about to be served, and its VM boots from the boot image that is here, or from pieces as they come. */
  begin(id: string, digest: string, from: BootsFrom, nowMs: number): void {
    const began = { beganMs: nowMs, readMs: nowMs, demandBytesBefore: 0, hasRead: false, isOver: false };
    this.#boots.set(id, { digest, from, ...nothingRead, ...began });
    this.#noteBegun(digest, nowMs);
  }

  /**
   * All pieces of an image are here that its boot reads. What its VMs had to wait for until now, which is told soon, says
   * nothing of what follows.
   */
  piecesCame(digest: string): void {
    this.#piecesHere.add(digest);
    for (const boot of this.#boots.values()) {
      if (boot.digest === digest && boot.from === "pieces") boot.demandBytesBefore = notToldYet;
    }
  }

  /** What is here of an image has come into doubt, or it is complete: its pieces are another matter from now on. */
  forgetPieces(digest: string): void {
    this.#piecesHere.delete(digest);
  }

  /** Takes note of an export's reads so far. */
  note(id: string, digest: string, reads: BootReads, nowMs: number): void {
    const boot = this.#boots.get(id);
    const from = boot?.from ?? "boot image";
    const { bootImageBytes, fileBytes, demandBytes } = reads;
    if (!boot?.hasRead) {
      if (bytesOfBoot(from, reads) === 0) return;
      const began = { beganMs: nowMs, readMs: nowMs, demandBytesBefore: demandBytes, hasRead: true, isOver: false };
      this.#boots.set(id, { digest, from, bootImageBytes, fileBytes, demandBytes, ...began });
      this.#noteBegun(digest, nowMs);
      return;
    }
    if (bytesOfBoot(from, reads) > bytesOfBoot(from, boot)) boot.readMs = nowMs;
    Object.assign(boot, { bootImageBytes, fileBytes, demandBytes });
    const isHere = from === "boot image" || this.#piecesHere.has(digest);
    // Until its pieces are here it waits for them, as it should.
    if (!isHere || boot.demandBytesBefore === notToldYet) boot.demandBytesBefore = demandBytes;
    if (!isHere && bootImageBytes > 0) boot.from = "boot image";
    // For good, also if it comes to read again.
    boot.isOver ||= isOver(boot, nowMs);
  }

  /** The export is closed. */
  forget(id: string): void {
    this.#boots.delete(id);
  }

  /** Whether a VM boots from what is here of the image. */
  isBooting(digest: string, nowMs: number): boolean {
    const held = this.#held.get(digest);
    if (!held || nowMs - held.sinceMs > heldMsMax) return false;
    for (const boot of this.#boots.values()) {
      if (boot.digest !== digest || boot.isOver || isOver(boot, nowMs)) continue;
      if (boot.from === "boot image" || this.#piecesHere.has(digest)) return true;
    }
    return false;
  }

  #noteBegun(digest: string, nowMs: number): void {
    const held = this.#held.get(digest);
    const sinceMs = held && nowMs - held.lastMs <= heldMsMax ? held.sinceMs : nowMs;
    this.#held.delete(digest);
    this.#held.set(digest, { sinceMs, lastMs: nowMs });
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= heldMax) break;
      this.#held.delete(oldest);
    }
  }
}

/** What a boot reads of what it boots from. Pieces that it waited for are here from then on. */
function bytesOfBoot(from: BootsFrom, { bootImageBytes, fileBytes, demandBytes }: BootReads): number {
  return from === "boot image" ? bootImageBytes : bootImageBytes + fileBytes + demandBytes;
}

function isOver({ beganMs, readMs, hasRead, demandBytes, demandBytesBefore }: Boot, nowMs: number): boolean {
  const isLong = nowMs - readMs > (hasRead ? quietMs : firstReadMs) || nowMs - beganMs > longestMs;
  return isLong || demandBytes - demandBytesBefore > demandBytesMax;
}
