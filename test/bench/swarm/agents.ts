/** bootswarm as contender: a real seeder and real agents. With images that have no magnet link, plain HTTP. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { BenchImage, ContenderOptions, Field, Ready } from "./contender.ts";
import { type LabAgent, seederPayload, startDaemons, stateDirectoryOf } from "./daemons.ts";

/** How often an agent that is not ready yet is asked. The times measured are its own, so this costs no accuracy. */
const pollMs = 1_000;

/** Starts the seeder, publishes the images with or without torrents, and starts the agents. */
export async function startAgents(options: ContenderOptions, torrents: boolean): Promise<Field> {
  const { images } = options;
  const daemons = await startDaemons(options, torrents);
  const { seeder, agents } = daemons;
  const end = () => daemons[Symbol.asyncDispose]();
  const fetchAll = async (wanted: BenchImage[], onReady: (ready: Ready) => void) => {
    await Promise.all(agents.map((agent) => fetchOn(agent, options, wanted, onReady)));
  };
  try {
    if (options.agents.warmUp) await fetchAll([options.agents.warmUp], () => {});
  } catch (error) {
    await end();
    throw error;
  }
  return {
    seederPid: seeder.pid,
    nodePids: agents.map((agent) => agent.process.pid),
    fetchAll: (onReady) => fetchAll(images, onReady),
    seederPayload: () => seederPayload(options),
    [Symbol.asyncDispose]: end,
  };
}

async function fetchOn(
  { host, service }: LabAgent,
  options: ContenderOptions,
  images: BenchImage[],
  onReady: (ready: Ready) => void,
): Promise<void> {
  const { signal } = options;
  await Promise.all(images.map((image) => askFor(service, image.name, signal)));
  const wanted = new Map(images.map((image) => [image.sha256, image.name]));
  while (wanted.size > 0) {
    const { fetches } = await service.listFetches({}, { signal });
    for (const { digest, state, error, endedAt } of fetches) {
      const image = wanted.get(digest);
      if (image === undefined) continue;
      if (state === FetchState.FAILED) throw new Error(`${host.name} failed to fetch ${image}: ${error}`);
      if (state !== FetchState.READY || !endedAt) continue;
      wanted.delete(digest);
      const path = join(stateDirectoryOf(options, host), "images", digest, "data");
      onReady({ node: host.name, image, atMs: timestampMs(endedAt), path });
    }
    if (wanted.size > 0) await sleep(pollMs, undefined, { signal });
  }
}

/** Asks for an image and looks no further: a call that ends early leaves the fetch as it is. */
async function askFor(service: LabAgent["service"], image: string, signal: AbortSignal): Promise<void> {
  for await (const _first of service.ensureImage({ image }, { signal })) return;
}
