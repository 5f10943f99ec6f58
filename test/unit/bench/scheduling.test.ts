/** The pure parts of bench:scheduling: what a benchmark's figures rest on. */
import { describe, expect, it } from "vitest";
import { densityAt, densityCurve, foldedAtZero, plain, silvermanBandwidth } from "../../bench/scheduling/density.ts";
import { Hosts } from "../../bench/scheduling/hosts.ts";
import { type ModelOptions, playModel } from "../../bench/scheduling/model.ts";
import { optionsFrom } from "../../bench/scheduling/options.ts";
import { groupsOf, type RunResult, summaryOf, type VmRecord } from "../../bench/scheduling/results.ts";
import { timeScaleOf } from "../../bench/scheduling/time-scale.ts";
import { traceOf } from "../../bench/scheduling/trace.ts";
import { mean, quantile, standardDeviation } from "../../bench/statistics.ts";
import { labsLeftBehind } from "../../bench/swarm/lab-plan.ts";

describe("a trace", () => {
  const options = { vmsPerHour: 100, hours: 200, images: 4, meanLifeMinutes: 0, burst: 1 };

  it("is the same for the same seed, and another for another", () => {
    expect(traceOf(options, 7)).toEqual(traceOf(options, 7));
    expect(traceOf(options, 8)).not.toEqual(traceOf(options, 7));
  });

  it("has gaps whose mean and deviation are those of an exponential distribution at its rate", () => {
    const times = traceOf(options, 1).map(({ atSeconds }) => atSeconds);
    const gaps = times.slice(1).map((at, index) => at - times[index]!);
    expect(times.length / options.hours).toBeCloseTo(100, -1);
    expect(mean(gaps) / 36).toBeCloseTo(1, 1);
    expect(standardDeviation(gaps) / 36).toBeCloseTo(1, 1);
    expect(Math.min(...gaps)).toBeGreaterThan(0);
  });

  it("takes every image about as often as the others", () => {
    const counts = [...Map.groupBy(traceOf(options, 1), ({ image }) => image).values()].map((some) => some.length);
    expect(counts).toHaveLength(4);
    expect(Math.min(...counts) / Math.max(...counts)).toBeGreaterThan(0.9);
  });

  it("has bursts of VMs of one image, as many VMs an hour in all", () => {
    const bursts = traceOf({ ...options, burst: 5 }, 1);
    expect(bursts.length / options.hours).toBeCloseTo(100, -1);
    const together = [...Map.groupBy(bursts, ({ atSeconds }) => atSeconds).values()];
    expect(new Set(together.map((some) => some.length))).toEqual(new Set([5]));
    expect(together.every((some) => new Set(some.map(({ image }) => image)).size === 1)).toBe(true);
  });

  it("has its VMs come at the same times however long they live", () => {
    const lasting = traceOf(options, 3);
    const short = traceOf({ ...options, meanLifeMinutes: 20 }, 3);
    expect(short.map(({ atSeconds, image }) => [atSeconds, image])).toEqual(
      lasting.map(({ atSeconds, image }) => [atSeconds, image]),
    );
    expect(lasting.every(({ livesSeconds }) => livesSeconds === Number.POSITIVE_INFINITY)).toBe(true);
    expect(mean(short.map(({ livesSeconds }) => livesSeconds)) / 1_200).toBeCloseTo(1, 1);
  });
});

it("scales time by how long an image takes on a link", () => {
  expect(timeScaleOf(5e9, 1e9)).toBe(1);
  expect(timeScaleOf(20e6, 40e6)).toBeCloseTo(10);
});

it("takes no VM on a host that is full, until one has ended there", () => {
  const hosts = new Hosts(["a", "b"], 2);
  hosts.start("a");
  hosts.start("a");
  expect(hosts.withRoom()).toEqual(["b"]);
  expect(() => hosts.start("a")).toThrow("no room");
  hosts.end("a");
  expect(hosts.withRoom()).toEqual(["a", "b"]);
});

describe("kernel density", () => {
  it("has Silverman's bandwidth", () => {
    // Of 1 to 9 the deviation is 2.7386 and the interquartile range 4: over 1.34 that is more.
    expect(silvermanBandwidth([1, 2, 3, 4, 5, 6, 7, 8, 9])).toBeCloseTo(0.9 * Math.sqrt(7.5) * 9 ** -0.2, 6);
    // Of these the range is less than the deviation.
    expect(silvermanBandwidth([1, 2, 3, 4, 100])).toBeCloseTo(0.9 * (2 / 1.34) * 5 ** -0.2, 6);
  });

  it("has a bandwidth where half of the values, or all, are the same", () => {
    expect(silvermanBandwidth([0, 0, 0, 0, 0, 8])).toBeGreaterThan(0.5);
    expect(silvermanBandwidth([3, 3, 3])).toBeGreaterThan(0);
  });

  it("is a normal distribution around a single value far from 0", () => {
    expect(densityAt(plain([50]), 2, 50)).toBeCloseTo(1 / (2 * Math.sqrt(2 * Math.PI)), 9);
    expect(densityAt(plain([50]), 2, 52)).toBeCloseTo(Math.exp(-0.5) / (2 * Math.sqrt(2 * Math.PI)), 9);
  });

  it("has an area of 1 from 0 on, though many values are near 0", () => {
    const curve = densityCurve(foldedAtZero([0.01, 0.01, 0.2, 1, 4, 9]), 0.7, { from: 0, to: 20, steps: 4_000 });
    const area = curve.slice(1).reduce((sum, [at, density], index) => {
      const [before, densityBefore] = curve[index]!;
      return sum + ((at - before) * (density + densityBefore)) / 2;
    }, 0);
    expect(area).toBeCloseTo(1, 4);
  });
});

describe("a summary", () => {
  const vm = (fields: Partial<VmRecord>): VmRecord => ({
    ...{ atSeconds: 0, image: "image-1", host: "node-1", found: "cached", seconds: 1 },
    ...fields,
  });
  const result = (fields: Partial<RunResult>): RunResult => ({
    ...{ scenario: "x", vmsPerHour: 80, seed: 1, vms: [], turnedAway: 0, seederImagesSent: 0, copiesAtEnd: 0 },
    ...{ machineOwnPercent: 10, machineIdlePercent: 50, latestSeconds: 0 },
    ...fields,
  });

  it("takes all seeds' VMs as one sample, and tells how far the seeds' means are apart", () => {
    const summary = summaryOf([
      result({ vms: [vm({ seconds: 1 }), vm({ seconds: 3, found: "absent", host: "node-2" })], seederImagesSent: 2 }),
      result({ seed: 2, vms: [vm({ seconds: 4 }), vm({ seconds: 8, found: "in flight" })], seederImagesSent: 4 }),
    ]);
    expect(summary).toMatchObject({ seeds: 2, vms: 4, mean: 4, meanRange: [2, 6], p50: 3.5, max: 8 });
    expect(summary.foundPercent).toEqual({ cached: 50, "in flight": 25, absent: 25 });
    expect(summary).toMatchObject({ seederImagesSent: 3, hostsUsed: 1.5, vmsOnOneHost: 2 });
  });

  it("leaves seeds without any VM out of how far the means are apart", () => {
    const summary = summaryOf([result({ vms: [vm({ seconds: 1 })] }), result({ seed: 2, vms: [] })]);
    expect(summary).toMatchObject({ seeds: 2, vms: 1, mean: 1, meanRange: [1, 1], hostsUsed: 0.5 });
  });

  it("is made for each rate and scenario", () => {
    const runs = [result({}), result({ vmsPerHour: 100 }), result({ scenario: "y" }), result({ seed: 2 })];
    expect(groupsOf(runs).map((some) => some.length)).toEqual([2, 1, 1]);
  });
});

describe("the model", () => {
  const forever = Number.POSITIVE_INFINITY;
  const base = { nodes: 2, images: 1, vmsPerHostMax: 1, transferSeconds: 40, launchHalfLifeMs: 60_000 };
  const byHttp: ModelOptions = { ...base, torrents: false, weighing: undefined };
  const weighing = {
    ...{ cacheMultiplier: 1, spreadMultiplier: 2, hotLaunches: 3 },
    ...{ countInFlight: true, inFlightHalfSeconds: 30, bootImageWorth: 0 },
  };
  const vms = (...atSeconds: number[]) => atSeconds.map((at) => ({ atSeconds: at, image: 0, livesSeconds: forever }));
  const secondsOf = (trace: ReturnType<typeof vms>, options: ModelOptions) =>
    playModel(trace, options, 1).vms.map(({ seconds }) => seconds);

  it("brings an image to one host at the link's rate", () => {
    expect(secondsOf(vms(5), byHttp)).toEqual([40]);
  });

  it("has two hosts share the seeder's link by HTTP", () => {
    expect(secondsOf(vms(0, 20), byHttp)).toEqual([60, 60]);
  });

  it("has hosts that fetch the same image by BitTorrent pass it on to each other", () => {
    expect(secondsOf(vms(0, 20), { ...byHttp, torrents: true })).toEqual([40, 40]);
  });

  it("has a VM wait for no more than the rest of what is on its way to its host", () => {
    const one = { ...byHttp, nodes: 1, vmsPerHostMax: 3 };
    const played = playModel(vms(0, 30, 90), one, 1);
    expect(played.vms.map(({ found, seconds }) => [found, seconds])).toEqual([
      ["absent", 40],
      ["in flight", 10],
      ["cached", 0],
    ]);
    expect(played.copiesAtEnd).toBe(1);
  });

  it("counts what is on its way where the seeder's weights do, and not by the paper's rule", () => {
    const cloud = { ...byHttp, torrents: true, nodes: 24, vmsPerHostMax: 8, weighing };
    expect(playModel(vms(0, 10, 20), cloud, 1).copiesAtEnd).toBe(1);
    const papers = { ...cloud, weighing: { ...weighing, spreadMultiplier: 0, countInFlight: false } };
    expect(playModel(vms(0, 10, 20), papers, 1).copiesAtEnd).toBeGreaterThan(1);
  });

  it("turns VMs away while no host has room", () => {
    const played = playModel(
      [{ atSeconds: 0, image: 0, livesSeconds: 50 }, ...vms(10, 60, 70)],
      { ...byHttp, nodes: 1 },
      1,
    );
    expect(played.turnedAway).toBe(2);
    expect(played.vms.map(({ atSeconds }) => atSeconds)).toEqual([0, 60]);
  });
});

it("interpolates quantiles between values", () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3], 1)).toBe(3);
  expect(quantile([7], 0.99)).toBe(7);
});

describe("the bench's options", () => {
  it("make a quick run of what is not given, and no other of what is", () => {
    expect(optionsFrom(["--quick"])).toMatchObject({ seeds: 1, hours: 0.5, imageBytes: 10e6, timeScale: 20 });
    expect(optionsFrom(["--quick", "--hours", "2"])).toMatchObject({ seeds: 1, hours: 2 });
    expect(optionsFrom([])).toMatchObject({ imageBytes: 20e6, timeScale: 10 });
  });

  it("name the scenarios there are where one is not known", () => {
    expect(() => optionsFrom(["--scenarios", "http"])).toThrow("http-default, http-cache");
  });

  it("try other weights beside scenarios, or alone", () => {
    const tried = ["--try", 'even={"spreadMultiplier":4}'];
    expect(optionsFrom(tried).scenarios.map(({ key }) => key)).toEqual(["even"]);
    expect(optionsFrom(["--scenarios", "swarm-cache", ...tried]).scenarios).toMatchObject([
      { key: "swarm-cache" },
      { key: "even", scheduling: { options: { spreadMultiplier: 4 }, recordLaunches: true } },
    ]);
    expect(() => optionsFrom(["--try", 'even={"spread":4}'])).toThrow("LABEL=JSON");
  });
});

it("takes for left behind the labs of processes that are no more, and no other namespaces", () => {
  const names = [
    "bootswarm-12-hub",
    "bootswarm-12-node-1",
    "bootswarm-34a-hub",
    "bootswarm-34b-seeder",
    "cni-12-x",
    "",
  ];
  expect(labsLeftBehind(names, (pid) => pid === 12)).toEqual(["bootswarm-34a", "bootswarm-34b"]);
});
