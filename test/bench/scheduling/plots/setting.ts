import type { Report } from "../report.ts";

/** The lab and its scale, in a line. */
export function settingOf(report: Report): string {
  const { nodes, linkBitsPerSecond, images, imageBytes, timeScale, cacheImages, burst } = report;
  const room = cacheImages > 0 ? `, room for ${cacheImages} on a node` : "";
  const together = burst > 1 ? `, ${burst} VMs at a time` : "";
  return (
    `${nodes} nodes, links of ${linkBitsPerSecond / 1e6} Mbit/s, ${images} images of ${imageBytes / 1e6} MB${room}${together}; ` +
    `1 s is ${Number(timeScale.toPrecision(3))} s with 5 GB over 1 Gbit/s`
  );
}
