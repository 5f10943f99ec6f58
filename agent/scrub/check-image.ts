/** Reads an image and compares it with its hashes, at a set rate. */
import { createHash, type Hash } from "node:crypto";
import { messageOf, systemCodeOf } from "../../daemon/problem.ts";
import type { Disk, DiskFile } from "../../swarm/disk.ts";
import { pieceBytesOf, pieceHashOf } from "../../swarm/metainfo.ts";
import type { Clock, TorrentInfo } from "../../swarm/types.ts";
import { wait } from "../clock.ts";

/** Bytes read and hashed in one turn of the event loop: about half a millisecond, so that nothing else waits for long. */
const turnBytes = 1024 * 1024;

/** What opening the file answers when it has gone or the disk has lost it: asking for it again would not bring it back. */
const lostCodes = ["ENOENT", "EIO", "EISDIR", "EUCLEAN"];

/** What is wrong with an image. */
export interface Damage {
  /** For people, such as "piece 3 does not match its hash". */
  what: string;
  kind: "hash" | "read";
  /** The piece of its torrent; undefined if it has none. */
  piece: number | undefined;
}

export interface CheckOptions {
  disk: Disk;
  path: string;
  clock: Clock;
  /** 0: as fast as the disk gives. */
  bytesPerSecond: number;
  onBytes: (bytes: number) => void;
}

/**
 * Checks the pieces of a torrent from one on, until the first that is wrong.
 *
 * @param onPiece told the next piece after each that is right; awaited
 */
export async function checkPieces(
  options: CheckOptions,
  info: TorrentInfo,
  from: number,
  onPiece: (next: number) => Promise<void>,
  signal: AbortSignal,
): Promise<Damage | undefined> {
  await using reader = await openReader(options, signal);
  if (reader.lost !== undefined) return { what: reader.lost, kind: "read", piece: undefined };
  for (let piece = from; piece < info.pieceCount; piece++) {
    const hash = createHash("sha1");
    const offset = piece * info.pieceLengthBytes;
    const fault = await reader.hash(hash, offset, pieceBytesOf(info, piece));
    if (fault) return { what: `piece ${piece} cannot be read: ${fault}`, kind: "read", piece };
    if (!hash.digest().equals(pieceHashOf(info, piece))) {
      return { what: `piece ${piece} does not match its hash`, kind: "hash", piece };
    }
    await onPiece(piece + 1);
  }
  return undefined;
}

/** Checks a whole file against its sha256: an image without a torrent. */
export async function checkWhole(
  options: CheckOptions,
  sizeBytes: number,
  digest: string,
  signal: AbortSignal,
): Promise<Damage | undefined> {
  await using reader = await openReader(options, signal);
  if (reader.lost !== undefined) return { what: reader.lost, kind: "read", piece: undefined };
  const hash = createHash("sha256");
  const fault = await reader.hash(hash, 0, sizeBytes);
  if (fault) return { what: `it cannot be read: ${fault}`, kind: "read", piece: undefined };
  if (hash.digest("hex") === digest) return undefined;
  return { what: "it does not match its sha256", kind: "hash", piece: undefined };
}

async function openReader(options: CheckOptions, signal: AbortSignal) {
  const file = await options.disk.open(options.path, "r").catch((error: unknown) => {
    if (lostCodes.includes(systemCodeOf(error) ?? "")) return `its file cannot be opened: ${messageOf(error)}`;
    throw error;
  });
  if (typeof file === "string") return { lost: file, [Symbol.asyncDispose]: async () => {} };
  const buffer = Buffer.allocUnsafe(turnBytes);
  const { clock, bytesPerSecond, onBytes } = options;
  return {
    /** Hashes so many bytes; says why if they cannot be read. */
    async hash(hash: Hash, offset: number, length: number): Promise<string | undefined> {
      for (let done = 0; done < length; ) {
        signal.throwIfAborted();
        const startedMs = clock.now();
        const read = await readSome(file, buffer, Math.min(turnBytes, length - done), offset + done);
        if (typeof read === "string") return read;
        hash.update(buffer.subarray(0, read));
        done += read;
        onBytes(read);
        const restMs = bytesPerSecond === 0 ? 0 : (read / bytesPerSecond) * 1_000 - (clock.now() - startedMs);
        if (restMs > 0) await wait(clock, restMs, signal);
      }
      return undefined;
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function readSome(file: DiskFile, buffer: Buffer, length: number, position: number): Promise<number | string> {
  try {
    const { bytesRead } = await file.read(buffer, 0, length, position);
    return bytesRead === 0 ? "the file ends before" : bytesRead;
  } catch (error) {
    return messageOf(error);
  }
}
