import type { ChunkStore } from "torrent-stream";

/**
 * Holds a torrent's verified pieces in memory from their arrival until they are read, once. torrent-stream's own store
 * writes files under the names that the torrent gives, which a hostile torrent could lead out of the directory; and the
 * bytes are on their way to the catalog's disk anyway. What bounds it is that only a window of pieces is asked for.
 */
export function createWindowStore(): ChunkStore {
  const pieces = new Map<number, Buffer>();
  return {
    put(index, piece, callback) {
      pieces.set(index, piece);
      callback?.(null);
    },
    get(index, range, callback) {
      const piece = pieces.get(index);
      if (piece === undefined) return callback(new Error(`piece ${index} is not here`));
      if (range !== null) return callback(null, piece.subarray(range.offset, range.offset + range.length));
      pieces.delete(index);
      callback(null, piece);
    },
    close(callback) {
      pieces.clear();
      callback?.(null);
    },
    destroy(callback) {
      pieces.clear();
      callback?.(null);
    },
  };
}
