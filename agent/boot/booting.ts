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

  /** An export is about to be served whose image has its boot image here. */
  begin(id: string, digest: string, nowMs: number): void {
    const nothing = { bootImageBytes: 0, demandBytes: 0, demandBytesBefore: 0, isOver: false };
    this.#boots.set(id, { digest, beganMs: nowMs, readMs: nowMs, ...nothing });
  }

  /** Takes note of an export's reads so far. */
  note(id: string, digest: string, { bootImageBytes, demandBytes }: BootReads, nowMs: number): void {
    const boot = this.#boots.get(id);
    if (!boot || boot.bootImageBytes === 0) {
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

function isOver({ beganMs, readMs, bootImageBytes, demandBytes, demandBytesBefore }: Boot, nowMs: number): boolean {
  const isLong = nowMs - readMs > (bootImageBytes > 0 ? quietMs : firstReadMs) || nowMs - beganMs > longestMs;
  return isLong || demandBytes - demandBytesBefore > demandBytesMax;
}
