import { expect, test } from "vitest";
import { traceOf } from "../../bench/eviction/trace.ts";
import { replay, type Setting } from "../../bench/prefetch/replay.ts";

const hourMs = 3_600_000;

test.for([0.7, 1.2])(
  "prefetching by popularity makes no fewer launches find their image, at Zipf's exponent %f",
  (skew) => {
    const workload = { name: "", images: 60, launches: 1_200, launchesPerHour: 120, skew, launchesPerRelease: 60 };
    const { launches, catalogBytes } = traceOf(workload, 7);
    const setting: Setting = {
      ...{ nodes: 40, slots: 8, lifeMs: 2 * hourMs, scheduler: "cache-aware", prefetch: false, seed: 7 },
      cacheBytes: catalogBytes * 0.08,
      ...{ halfLifeMs: 4 * hourMs, planIntervalMs: 300_000, zoneBytesPerSecond: 125e6, warmUp: 300 },
    };
    const without = replay(launches, setting);
    const withPrefetch = replay(launches, { ...setting, prefetch: true });
    expect(withPrefetch.hitRate).toBeGreaterThanOrEqual(without.hitRate);
    expect(replay(launches, { ...setting, prefetch: true })).toEqual(withPrefetch);
  },
);
