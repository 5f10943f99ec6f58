import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

/** Read and hashed in one turn of the event loop: about half a millisecond, so that nothing else waits for long. */
const turnBytes = 1024 * 1024;

/** The sha256 of a file, 64 lower-case hex digits. Rejects with the signal's reason when it aborts. */
export async function sha256OfFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(turnBytes);
  await using file = await open(path, "r");
  for (let offset = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, turnBytes, offset);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
}
