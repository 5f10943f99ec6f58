/** The last minutes' rates as areas. The geometry is pure; the picture is SVG. */
import { html, svg, type TemplateResult } from "lit-html";
import { formatRate } from "../../../figures/units.ts";
import type { BoardSampleJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { numberFrom } from "./json-values.ts";

const width = 600;
const height = 140;
/** What the chart spans, in milliseconds: as much as the seeder keeps. */
const spanMs = 5 * 60 * 1_000;
/** Samples further apart than this have a gap between them. */
const gapMs = 5_000;

export interface ChartShape {
  /** SVG paths: what comes from peers, on it what comes by HTTP, and what the seeder gives. */
  swarm: string;
  http: string;
  seeder: string;
  /** Top of the scale, in bytes per second. */
  top: number;
}

interface Point {
  x: number;
  swarm: number;
  http: number;
  seeder: number;
}

/** The least of 1, 2, 5, 10, ... times a power of 1024 that is not below. */
export function niceTop(bytesPerSecond: number): number {
  let unit = 1024;
  while (unit * 1024 <= bytesPerSecond) unit *= 1024;
  for (const step of [1, 2, 5, 10, 20, 50, 100, 200, 500, 1024]) {
    if (step * unit >= bytesPerSecond) return step * unit;
  }
  return 1024 * unit;
}

export function chartShape(samples: readonly BoardSampleJson[], nowMs: number): ChartShape {
  const points = samples
    .map((sample) => ({
      x: width * (1 - (nowMs - numberFrom(sample.atMs)) / spanMs),
      swarm: numberFrom(sample.swarmBytesPerSecond),
      http: numberFrom(sample.httpBytesPerSecond),
      seeder: numberFrom(sample.seederSwarmBytesPerSecond) + numberFrom(sample.seederHttpBytesPerSecond),
    }))
    .filter(({ x }) => x >= 0);
  const top = niceTop(Math.max(0, ...points.map(({ swarm, http, seeder }) => Math.max(swarm + http, seeder))));
  const runs = runsOf(points, (width * gapMs) / spanMs);
  return {
    swarm: runs
      .map((run) =>
        area(
          run,
          top,
          () => 0,
          ({ swarm }) => swarm,
        ),
      )
      .join(""),
    http: runs
      .map((run) =>
        area(
          run,
          top,
          ({ swarm }) => swarm,
          ({ swarm, http }) => swarm + http,
        ),
      )
      .join(""),
    seeder: runs.map((run) => line(run, top, ({ seeder }) => seeder)).join(""),
    top,
  };
}

function runsOf(points: readonly Point[], gap: number): Point[][] {
  const runs: Point[][] = [];
  for (const point of points) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last && point.x - last.x <= gap) run.push(point);
    else runs.push([point]);
  }
  return runs;
}

type Value = (point: Point) => number;

function at(point: Point, top: number, value: Value): string {
  return `${point.x.toFixed(1)} ${(height * (1 - value(point) / top)).toFixed(1)}`;
}

function line(run: readonly Point[], top: number, value: Value): string {
  return run.map((point, index) => `${index === 0 ? "M" : "L"}${at(point, top, value)}`).join("");
}

function area(run: readonly Point[], top: number, low: Value, high: Value): string {
  const back = run.toReversed().map((point) => `L${at(point, top, low)}`);
  return `${line(run, top, high)}${back.join("")}Z`;
}

/** For the eye; the present figures are in the summary and in the zones' table. */
export function chart(samples: readonly BoardSampleJson[], nowMs: number): TemplateResult {
  const { swarm, http, seeder, top } = chartShape(samples, nowMs);
  const rules = [0, 0.5, 1].map(
    (part) => svg`<line class="rule" x1="0" x2=${width} y1=${height * part} y2=${height * part}></line>`,
  );
  return html`<figure class="chart" role="img" aria-label="Rates of the last five minutes, up to ${formatRate(top)}">
    <div class="chart-scale" aria-hidden="true"><span>${formatRate(top)}</span><span>${formatRate(top / 2)}</span><span>0</span></div>
    <svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" aria-hidden="true">
      ${rules}
      <path class="fill-cached" d=${swarm}></path>
      <path class="fill-http" d=${http}></path>
      <path class="line-seeder" d=${seeder}></path>
    </svg>
    <div class="chart-time" aria-hidden="true"><span>5 min ago</span><span>now</span></div>
  </figure>`;
}
