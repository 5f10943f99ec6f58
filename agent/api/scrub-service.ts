import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ScrubImageRequest,
  type ScrubImageResponseSchema,
  ScrubState,
} from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Clock } from "../../swarm/types.ts";
import { wait } from "../clock.ts";
import type { Fetch } from "../fetch/fetch.ts";
import { fetchMessage, hasEnded } from "../fetch/fetch-view.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import type { Repairs } from "../scrub/repairs.ts";
import type { Scrubber } from "../scrub/scrubber.ts";

/** How often progress is told. */
const progressIntervalMs = 200;

export interface ScrubServiceParts {
  images: Images;
  fetches: Fetches;
  scrubber: Scrubber;
  repairs: Repairs;
  clock: Clock;
}

/** AgentService's method for scrubs. */
export function scrubMethods(parts: ScrubServiceParts) {
  return {
    scrubImage: (request: ScrubImageRequest, context: HandlerContext) =>
      scrubImage(parts, request.image, context.signal),
  };
}

async function* scrubImage(
  parts: ScrubServiceParts,
  image: string,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof ScrubImageResponseSchema>> {
  const { images, scrubber, repairs, clock } = parts;
  const { record } = images.describe(image);
  const told = { digest: record.digest, sizeBytes: BigInt(record.sizeBytes) };
  let damage = record.damage ?? "";
  let repair: Fetch | undefined;
  let doneBytes = 0;
  if (damage === "") {
    const onBytes = (bytes: number) => {
      doneBytes += bytes;
    };
    const ended = new AbortController();
    const checking = scrubber.check(record.digest, onBytes, AbortSignal.any([signal, ended.signal]));
    try {
      for (let isChecking = true; isChecking; ) {
        yield { ...told, state: ScrubState.CHECKING, doneBytes: BigInt(doneBytes) };
        const tick = wait(clock, progressIntervalMs, signal).then(() => true);
        isChecking = await Promise.race([checking.then(() => false), tick]);
        tick.catch(() => {});
      }
    } finally {
      // The client may have gone between two messages.
      ended.abort(new Error("nobody waits for the scrub"));
      checking.catch(() => {});
    }
    const found = await checking;
    if (!found) {
      yield { ...told, state: ScrubState.SOUND, doneBytes: BigInt(doneBytes) };
      return;
    }
    damage = found.what;
    repair = await repairs.begin(record.digest, found);
  } else {
    repair = await repairs.resume(record.digest);
  }
  for await (const fetch of progressOf(parts.fetches, repair, signal)) {
    yield { ...told, state: stateOf(fetch), doneBytes: BigInt(doneBytes), damage, fetch };
  }
}

async function* progressOf(fetches: Fetches, fetch: Fetch | undefined, signal: AbortSignal) {
  while (fetch && !signal.aborted) {
    const { version } = fetches.changes;
    yield fetchMessage(fetch.view());
    if (hasEnded(fetch.state)) return;
    await fetches.changes.after(version, signal);
  }
}

function stateOf({ state }: ReturnType<typeof fetchMessage>): ScrubState {
  if (state === FetchState.READY) return ScrubState.SOUND;
  return state === FetchState.FAILED || state === FetchState.CANCELLED ? ScrubState.FAILED : ScrubState.REPAIRING;
}
