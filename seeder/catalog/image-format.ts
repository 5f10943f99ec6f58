import { bootImageStart } from "../../boot/boot-image.ts";
import { BootFormatError } from "../../boot/byte-reader.ts";
import { Problem } from "../../daemon/problem.ts";
import type { Image } from "./image.ts";
import { bootNameOf, imageOfBootName } from "./names.ts";
import { checkQcow2Length, qcow2HeaderFrom } from "./qcow2.ts";

/**
 * An image's format and the size of the disk that a guest sees, from its first bytes and its size. What is no qcow2 and no
 * boot image is raw: the disk's bytes as they are.
 *
 * @throws Problem "invalid" for a qcow2 that no node could boot, or that is cut off, and for a boot image that is damaged.
 */
export function imageFormatOf(
  head: Uint8Array,
  sizeBytes: number,
): Pick<Image, "format" | "virtualSizeBytes"> & { bootOf?: string } {
  const boot = bootStartOf(head);
  if (boot) return { format: "boot", virtualSizeBytes: 0, bootOf: boot.imageDigest };
  const qcow2 = qcow2HeaderFrom(head);
  if (!qcow2) return { format: "raw", virtualSizeBytes: sizeBytes };
  checkQcow2Length(qcow2, sizeBytes);
  return { format: "qcow2", virtualSizeBytes: qcow2.virtualSizeBytes };
}

/**
 * Boot images have the names that are kept for them, and no others.
 *
 * @throws Problem "invalid" for a boot image under another name, and for another thing under a boot image's.
 */
export function checkNameFits(name: string, bootOf: string | undefined): void {
  const wanted = imageOfBootName(name);
  if (wanted === bootOf) return;
  if (bootOf !== undefined) {
    throw new Problem("invalid", `this is the boot image of ${bootOf}; its name can only be ${bootNameOf(bootOf)}`);
  }
  throw new Problem("invalid", `"${name}" is the name of a boot image, and these bytes are none; use another name`);
}

function bootStartOf(head: Uint8Array) {
  try {
    return bootImageStart(head);
  } catch (error) {
    if (error instanceof BootFormatError)
      throw new Problem("invalid", `this boot image cannot be used: ${error.message}`);
    throw error;
  }
}
