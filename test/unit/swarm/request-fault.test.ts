import { expect, test } from "vitest";
import { requestFault } from "../../../swarm/giving.ts";
import { blockBytesMax } from "../../../swarm/limits.ts";
import type { TorrentInfo } from "../../../swarm/types.ts";

/** Three pieces of 32 KiB, the last cut to 100 bytes. */
const info = { pieceCount: 3, pieceLengthBytes: 32_768, lengthBytes: 2 * 32_768 + 100 } as TorrentInfo;

test.each([
  ["the first block", { index: 0, begin: 0, length: 16_384 }],
  ["all of a piece, up to the largest block", { index: 1, begin: 0, length: Math.min(32_768, blockBytesMax) }],
  ["the last byte of the last piece", { index: 2, begin: 99, length: 1 }],
])("a request for %s is in order", (_, block) => {
  expect(requestFault(info, block)).toBeUndefined();
});

test.each([
  ["of a piece that there is not", { index: 3, begin: 0, length: 1 }, "piece 3 of 3"],
  ["of no bytes", { index: 0, begin: 0, length: 0 }, "a block of 0 bytes"],
  ["larger than any block", { index: 0, begin: 0, length: blockBytesMax + 1 }, "a block of"],
  ["beyond a piece's end", { index: 0, begin: 32_768, length: 1 }, "beyond a piece's end"],
  ["beyond the end of the last, shorter piece", { index: 2, begin: 99, length: 2 }, "beyond a piece's end"],
])("a request for a block %s is a fault", (_, block, fault) => {
  expect(requestFault(info, block)).toContain(fault);
});
