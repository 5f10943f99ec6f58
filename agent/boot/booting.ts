/**
 * Which images' VMs are booting from their boot images right now, pure: the rest of such an image can wait, and the guest has
 * the node's processors and link to itself meanwhile.
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
  demandBytes: number;
}

interface Boot extends BootReads {
  digest: string;
  beganMs: number;
  readMs: number;
  demandBytesBefore: number;
  /** It has read of the boot image. */
  hasRead: boolean;
  isOver: boolean;
}

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

  /** An export is about to be served whose image has its boot image here. */
  begin(id: string, digest: string, nowMs: number): void {
    const nothing = { bootImageBytes: 0, demandBytes: 0, demandBytesBefore: 0, hasRead: false, isOver: false };
    this.#boots.set(id, { digest, beganMs: nowMs, readMs: nowMs, ...nothing });
    this.#noteBegun(digest, nowMs);
  }

  /** Takes note of an export's reads so far. */
  note(id: string, digest: string, { bootImageBytes, demandBytes }: BootReads, nowMs: number): void {
    const boot = this.#boots.get(id);
    if (!boot?.hasRead) {
      if (bootImageBytes === 0) return;
      const began = { beganMs: nowMs, readMs: nowMs, demandBytesBefore: demandBytes, hasRead: true, isOver: false };
      this.#boots.set(id, { digest, bootImageBytes, demandBytes, ...began });
      this.#noteBegun(digest, nowMs);
      return;
    }
    if (bootImageBytes > boot.bootImageBytes) boot.readMs = nowMs;
    Object.assign(boot, { bootImageBytes, demandBytes });
    // For good, also if it comes to read again.
    boot.isOver ||= isOver(boot, nowMs);
  }

  /** The export is closed. */
  forget(id: string): void {
    this.#boots.delete(id);
  }

  /** Whether a VM boots from the image's boot image. */
  isBooting(digest: string, nowMs: number): boolean {
    const held = this.#held.get(digest);
    if (!held || nowMs - held.sinceMs > heldMsMax) return false;
    for (const boot of this.#boots.values()) {
      if (boot.digest === digest && !boot.isOver && !isOver(boot, nowMs)) return true;
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

function isOver({ beganMs, readMs, hasRead, demandBytes, demandBytesBefore }: Boot, nowMs: number): boolean {
  const isLong = nowMs - readMs > (hasRead ? quietMs : firstReadMs) || nowMs - beganMs > longestMs;
  return isLong || demandBytes - demandBytesBefore > demandBytesMax;
}
