/**
 * Which images' VMs are booting from their boot images right now, pure: the rest of such an image can wait, and the guest has
 * the node's processors and link to itself meanwhile.
 */

/** A guest that reads nothing for so long is up, or busy with something else. */
const quietMs = 5_000;
/** What reads for longer is no boot any more, or one that takes more than its boot image. */
const longestMs = 60_000;
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
  isOver: boolean;
}

export class Booting {
  /** By export; each boots once. */
  readonly #boots = new Map<string, Boot>();

  /** Takes note of an export's reads so far. */
  note(id: string, digest: string, { bootImageBytes, demandBytes }: BootReads, nowMs: number): void {
    const boot = this.#boots.get(id);
    if (!boot) {
      if (bootImageBytes === 0) return;
      const began = { beganMs: nowMs, readMs: nowMs, demandBytesBefore: demandBytes, isOver: false };
      this.#boots.set(id, { digest, bootImageBytes, demandBytes, ...began });
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
    for (const boot of this.#boots.values()) {
      if (boot.digest === digest && !boot.isOver && !isOver(boot, nowMs)) return true;
    }
    return false;
  }
}

function isOver({ beganMs, readMs, demandBytes, demandBytesBefore }: Boot, nowMs: number): boolean {
  const isLong = nowMs - readMs > quietMs || nowMs - beganMs > longestMs;
  return isLong || demandBytes - demandBytesBefore > demandBytesMax;
}
