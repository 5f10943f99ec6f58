import type { ImageFormat } from "./image.ts";
import { checkQcow2Length, qcow2HeaderFrom } from "./qcow2.ts";

/**
 * An image's format and the size of the disk that a guest sees, from its first bytes and its size. What is no qcow2 is
 * raw: the disk's bytes as they are.
 *
 * @throws Problem "invalid" for a qcow2 that no node could boot, or that is cut off.
 */
export function imageFormatOf(head: Uint8Array, sizeBytes: number): { format: ImageFormat; virtualSizeBytes: number } {
  const qcow2 = qcow2HeaderFrom(head);
  if (!qcow2) return { format: "raw", virtualSizeBytes: sizeBytes };
  checkQcow2Length(qcow2, sizeBytes);
  return { format: "qcow2", virtualSizeBytes: qcow2.virtualSizeBytes };
}
