/** Which file of a torrent is wanted, and whether the torrent is one that can be read: pure. */
import { Problem } from "../../daemon/problem.ts";
import { torrentFilesMax, torrentPieceBytesMax } from "./limits.ts";

export interface NamedFile {
  /** With the torrent's name as its first part, where the torrent has several files. */
  path: string;
  name: string;
  length: number;
}

/**
 * The index of the wanted file: by its path, with or without the torrent's own folder, or by its bare name where only
 * one file has it. Without a wish, the largest.
 *
 * @throws Problem "not-found" or "invalid", naming what there is.
 */
export function wantedFile(files: readonly NamedFile[], wish: string): number {
  // Field by field: the files of torrent-stream inherit theirs, which a spread would lose.
  const candidates = files.map(({ path, name, length }, index) => ({ path, name, length, index }));
  if (wish === "") {
    const largest = candidates.reduce((best, file) => (file.length > best.length ? file : best));
    if (largest.length === 0) throw new Problem("invalid", "the torrent holds only empty files");
    return largest.index;
  }
  const byPath = candidates.filter((file) => file.path === wish || withoutFolder(file.path) === wish);
  const found = byPath.length > 0 ? byPath : candidates.filter((file) => file.name === wish);
  const [only, another] = found;
  if (only === undefined) {
    throw new Problem("not-found", `the torrent has no file "${wish.slice(0, 200)}"; it has ${listed(files)}`);
  }
  if (another !== undefined) {
    throw new Problem("invalid", `several files are called "${wish.slice(0, 200)}"; give a path: ${listed(found)}`);
  }
  if (only.length === 0) throw new Problem("invalid", `"${wish.slice(0, 200)}" is empty`);
  return only.index;
}

/**
 * Checks what the torrent says of itself against our bounds.
 *
 * @throws Problem "invalid".
 */
export function checkShape(torrent: { pieceLength: number; pieces: readonly unknown[] }, files: readonly NamedFile[]) {
  const { pieceLength } = torrent;
  if (!Number.isSafeInteger(pieceLength) || pieceLength <= 0 || pieceLength > torrentPieceBytesMax) {
    throw new Problem(
      "invalid",
      `the torrent's pieces of ${pieceLength} bytes are not of 1 to ${torrentPieceBytesMax}`,
    );
  }
  if (files.length === 0 || files.length > torrentFilesMax) {
    throw new Problem("invalid", `the torrent has ${files.length} files; 1 to ${torrentFilesMax} can be read`);
  }
  if (files.some((file) => !Number.isSafeInteger(file.length) || file.length < 0)) {
    throw new Problem("invalid", "the torrent is damaged: the length of a file is no whole number");
  }
  const lengthBytes = files.reduce((sum, file) => sum + file.length, 0);
  if (torrent.pieces.length !== Math.ceil(lengthBytes / pieceLength)) {
    throw new Problem(
      "invalid",
      `the torrent is damaged: ${torrent.pieces.length} pieces do not fit ${lengthBytes} bytes`,
    );
  }
}

function withoutFolder(path: string): string {
  return path.slice(path.indexOf("/") + 1);
}

function listed(files: readonly NamedFile[]): string {
  const shownMax = 8;
  const shown = files.slice(0, shownMax).map((file) => `"${file.path.slice(0, 120)}"`);
  const more = files.length > shownMax ? [`${files.length - shownMax} more`] : [];
  return [...shown, ...more].join(", ");
}
