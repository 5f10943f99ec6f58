/** When a boot's recording is over, and who may record. */
import { describe, expect, test } from "vitest";
import { automaticRules, recordingEnd } from "../../../agent/boot/recording-end.ts";

const rules = {
  ...{ quietMs: 10_000, firstReadMs: 60_000, longestMs: 600_000 },
  ...{ bytesMin: 0, bytesMax: 1_000_000, bootBytesMax: Number.POSITIVE_INFINITY },
};
const progress = { reads: 5, blockBytes: 65_536, quietMs: 0 };

describe("a recording", () => {
  test("goes on while new blocks are read", () => {
    expect(recordingEnd(progress, 30_000, rules)).toBeUndefined();
    expect(recordingEnd({ ...progress, quietMs: 9_999 }, 30_000, rules)).toBeUndefined();
  });

  test("ends when nothing new was read for long enough, with enough bytes, or after the longest time", () => {
    expect(recordingEnd({ ...progress, quietMs: 10_000 }, 30_000, rules)).toBe("quiet");
    expect(recordingEnd({ ...progress, blockBytes: 1_000_000 }, 30_000, rules)).toBe("bytes");
    expect(recordingEnd(progress, 600_000, rules)).toBe("longest");
  });

  test("that began by itself is of no one who only looks at the disk, and of no one who copies it", () => {
    const automatic = { ...rules, bytesMax: 2 ** 40, ...automaticRules(2 ** 30) };
    const look = { reads: 3, blockBytes: 65_536, quietMs: 500_000 };
    expect(recordingEnd(look, 500_000, automatic)).toBeUndefined();
    expect(recordingEnd(look, 600_000, automatic)).toBe("too-little");
    expect(recordingEnd({ ...look, blockBytes: 80_000_000 }, 500_000, automatic)).toBe("quiet");
    expect(recordingEnd({ ...look, blockBytes: 900_000_000, quietMs: 0 }, 30_000, automatic)).toBe("too-much");
  });

  test("waits for its first read, and then says that there is none", () => {
    const none = { reads: 0, blockBytes: 0, quietMs: 50_000 };
    expect(recordingEnd(none, 59_999, rules)).toBeUndefined();
    expect(recordingEnd(undefined, 59_999, rules)).toBeUndefined();
    expect(recordingEnd(none, 60_000, rules)).toBe("nothing-read");
  });
});
