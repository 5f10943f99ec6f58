import type { Report } from "../report.ts";

/** The lab and its scale, in a line. */
export function settingOf(report: Report): string {
  const { nodes, linkBitsPerSecond, images, imageBytes, timeScale, cacheImages } = report;
  const room = cacheImages > 0 ? `, room for ${cacheImages} on a node` : "";
  return (
    `${nodes} nodes, links of ${linkBitsPerSecond / 1e6} Mbit/s, ${images} images of ${imageBytes / 1e6} MB${room}; ` +
    `1 s is ${Number(timeScale.toPrecision(3))} s with 5 GB over 1 Gbit/s`
  );
}
