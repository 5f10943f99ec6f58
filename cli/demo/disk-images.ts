import { createCipheriv, createHash } from "node:crypto";
import { open } from "node:fs/promises";

const chunkBytes = 4 * 1024 * 1024;
/** Where an MBR says that it is one. */
const bootSignatureOffset = 510;

/**
 * Writes a raw disk: an MBR's signature, and bytes that look random (AES in counter mode, keyed by the name) but are
 * the same on every run.
 */
export async function writeDiskImage(path: string, name: string, sizeBytes: number): Promise<void> {
  const key = createHash("sha256").update(name).digest();
  const stream = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(chunkBytes);
  await using file = await open(path, "w");
  for (let offset = 0; offset < sizeBytes; offset += chunkBytes) {
    const chunk = stream.update(zeros.subarray(0, Math.min(chunkBytes, sizeBytes - offset)));
    if (offset === 0) chunk.writeUInt16BE(0x55aa, bootSignatureOffset);
    await file.write(chunk, 0, chunk.length, offset);
  }
}
