import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { AgentService } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Swarm } from "../../swarm/swarm.ts";
import type { CacheEntry } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import { fetchMessage, hasEnded, priorityFrom } from "../fetch/fetch-view.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import { type BootServiceParts, bootMethods } from "./boot-service.ts";
import { cachedImageMessage } from "./cached-image-message.ts";
import { type DiskServiceParts, diskMethods } from "./disk-service.ts";
import { type LeaseServiceParts, leaseMethods } from "./lease-service.ts";
import { type ScrubServiceParts, scrubMethods } from "./scrub-service.ts";
import { type StatusSources, statusMessage } from "./status-message.ts";

export interface AgentServiceParts
  extends StatusSources,
    LeaseServiceParts,
    ScrubServiceParts,
    DiskServiceParts,
    BootServiceParts {
  images: Images;
  inUse: InUse;
  fetches: Fetches;
  swarm: Swarm;
}

/** Serves AgentService: translates, and leaves every decision to the domain. */
export function serveAgent(router: ConnectRouter, parts: AgentServiceParts): void {
  const { images, fetches, swarm, inUse, scrubber } = parts;
  const imageMessage = (entry: CacheEntry) => cachedImageMessage(entry, swarm, inUse, scrubber);
  router.service(AgentService, {
    async *ensureImage(request, context) {
      const ensured = await images.ensure(request.image, priorityFrom(request.priority));
      let sent = "";
      for (;;) {
        const { version } = fetches.changes;
        const view = ensured.view();
        const text = JSON.stringify(view);
        if (text !== sent) {
          yield { fetch: fetchMessage(view), path: view.state === "ready" ? ensured.path : "" };
          sent = text;
        }
        if (hasEnded(view.state)) return;
        await fetches.changes.after(version, context.signal);
        // The fetch goes on; it is only not told of any more.
        if (context.signal.aborted) return;
      }
    },
    cancelFetch: async (request) => ({ fetch: fetchMessage(await images.cancelFetch(request.image)) }),
    listImages: () => ({ images: images.list().map(imageMessage) }),
    getImage: (request) => ({ image: imageMessage(images.describe(request.image)) }),
    removeImage: async (request) => {
      const { digest, freedBytes } = await images.remove(request.image, request.force);
      return { digest, freedBytes: BigInt(freedBytes) };
    },
    pinImage: async (request) => ({ image: imageMessage(await images.setPinned(request.image, true)) }),
    unpinImage: async (request) => ({ image: imageMessage(await images.setPinned(request.image, false)) }),
    ...leaseMethods(parts),
    ...scrubMethods(parts),
    ...diskMethods(parts),
    ...bootMethods(parts),
    listFetches: () => ({ fetches: fetches.list().map(fetchMessage) }),
    watchFetches: (_request, context) => watchFetches(fetches, context),
    getStatus: () => statusMessage(parts),
  });
}

async function* watchFetches(fetches: Fetches, { signal }: HandlerContext) {
  while (!signal.aborted) {
    const { version } = fetches.changes;
    yield { fetches: fetches.list().map(fetchMessage) };
    await fetches.changes.after(version, signal);
  }
}
