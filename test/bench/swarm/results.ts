/** What a run leaves, and the figures made of it: pure. */

export interface RunResult {
  contender: string;
  images: number;
  /** Of all images together. */
  imageBytes: number;
  nodes: number;
  zones: number;
  /** All images at the link's nominal rate. */
  limitSeconds: number;
  /** From the moment at which everything was asked for. */
  readySeconds: { node: string; image: string; seconds: number }[];
  /** Bytes of images that the seeder sent, over the images' bytes. */
  seederPayloadOverImages: number;
  /** The part of it that went by HTTP. */
  seederHttpOverImages: number;
  /** The same with everything that left its interface. */
  seederLinkOverImages: number;
  /** What left the seeder's interface, second by second. */
  seederSentBytes: number[];
  seederCpuSeconds: number;
  nodeCpuSeconds: number[];
  /** Since each process's start. */
  nodePeakRssMib: number[];
  /** What crossed the link between two zones, over the images' bytes; 0 with one zone. */
  zoneLinkOverImages: number;
  /** Of the machine's CPU time, over all cores. */
  machineIdlePercent: number;
  /** What the contender's processes took of it. What is neither was the kernel's, the driver's or somebody else's. */
  machineOwnPercent: number;
}

export interface Figures {
  scenario: string;
  contender: string;
  limitSeconds: number;
  /** The first image on any node. */
  firstImageSeconds: number;
  /** All of its images on the first node that has them. */
  firstNodeSeconds: number;
  /** All images on all nodes. */
  allSeconds: number;
  /** Mean over every image on every node. */
  meanSeconds: number;
  firstOverLimit: number;
  allOverLimit: number;
  seederPayloadOverImages: number;
  seederHttpOverImages: number;
  seederLinkOverImages: number;
  seederCpuSeconds: number;
  nodeCpuSecondsMean: number;
  nodePeakRssMibMean: number;
  nodePeakRssMibMax: number;
  zoneLinkOverImages: number;
  machineIdlePercent: number;
  machineOwnPercent: number;
}

/** VM requests on each host in the paper's Table 1. */
export const requestsPerNode = 8;

/** As the paper writes it, images x VM requests of each; and the size of an image. */
export function scenarioOf({ images, imageBytes, nodes }: Pick<RunResult, "images" | "imageBytes" | "nodes">): string {
  return `${images}x${(nodes * requestsPerNode) / images}, ${imageBytes / images / 1e6} MB`;
}

export function figuresOf(result: RunResult): Figures {
  const seconds = result.readySeconds.map((ready) => ready.seconds);
  const nodeSeconds = new Map<string, number>();
  for (const ready of result.readySeconds) {
    nodeSeconds.set(ready.node, Math.max(ready.seconds, nodeSeconds.get(ready.node) ?? 0));
  }
  const firstNodeSeconds = Math.min(...nodeSeconds.values());
  const allSeconds = Math.max(...seconds);
  return {
    scenario: scenarioOf(result),
    contender: result.contender,
    limitSeconds: result.limitSeconds,
    firstImageSeconds: Math.min(...seconds),
    firstNodeSeconds,
    allSeconds,
    meanSeconds: mean(seconds),
    firstOverLimit: firstNodeSeconds / result.limitSeconds,
    allOverLimit: allSeconds / result.limitSeconds,
    seederPayloadOverImages: result.seederPayloadOverImages,
    seederHttpOverImages: result.seederHttpOverImages,
    seederLinkOverImages: result.seederLinkOverImages,
    seederCpuSeconds: result.seederCpuSeconds,
    nodeCpuSecondsMean: mean(result.nodeCpuSeconds),
    nodePeakRssMibMean: mean(result.nodePeakRssMib),
    nodePeakRssMibMax: Math.max(...result.nodePeakRssMib),
    zoneLinkOverImages: result.zoneLinkOverImages,
    machineIdlePercent: result.machineIdlePercent,
    machineOwnPercent: result.machineOwnPercent,
  };
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
