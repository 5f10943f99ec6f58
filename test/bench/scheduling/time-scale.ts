/**
 * Time in the lab against time in the paper: pure.
 *
 * What a cloud's waiting is made of is an image's time on a link over the time between two VMs. Smaller images on slower
 * links leave that as it was if VMs come faster in the same measure.
 */

/** Section 5's: images of 5 GB over links of 1 Gbit/s. */
const paper = { imageBytes: 5e9, linkBitsPerSecond: 1e9 };

/** Seconds of the paper that pass in one of the lab's. */
export function timeScaleOf(imageBytes: number, linkBitsPerSecond: number): number {
  const transferSeconds = (bytes: number, bitsPerSecond: number) => (bytes * 8) / bitsPerSecond;
  return transferSeconds(paper.imageBytes, paper.linkBitsPerSecond) / transferSeconds(imageBytes, linkBitsPerSecond);
}
