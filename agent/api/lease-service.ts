import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { Problem } from "../../daemon/problem.ts";
import {
  type AgentService,
  type HoldImageRequest,
  type HoldImageResponseSchema,
  type Lease as LeaseMessage,
  LeaseSchema,
} from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Clock } from "../../swarm/types.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import { formatMessage } from "../catalog/image-facts.ts";
import { wait } from "../clock.ts";
import type { Images, LeasedImage } from "../images.ts";
import type { Lease, Leases } from "../leases.ts";

/** How often an open hold is confirmed: a connection whose other end has gone is found out by writing to it. */
const confirmIntervalMs = 10_000;

export interface LeaseServiceParts {
  images: Images;
  leases: Leases;
  cache: ImageCache;
  clock: Clock;
}

type LeaseMethods = "holdImage" | "acquireLease" | "renewLease" | "releaseLease" | "listLeases";

/** The part of AgentService that is about leases. */
export function leaseMethods(parts: LeaseServiceParts): Pick<ServiceImpl<typeof AgentService>, LeaseMethods> {
  const { images, leases, cache } = parts;
  const message = (lease: Lease) => leaseMessage(lease, cache);
  return {
    holdImage: (request, context) => holdImage(parts, request, context),
    acquireLease: async ({ image, holder, ttlMs }) =>
      leasedMessage(await images.lease(image, holder, { ttlMs: Number(ttlMs) }), cache),
    renewLease: async ({ id, ttlMs }) => ({ lease: message(await leases.renew(id, Number(ttlMs))) }),
    releaseLease: async ({ id }) => ({ lease: message(await leases.release(id)) }),
    listLeases: () => ({ leases: leases.list().map(message) }),
  };
}

async function* holdImage(
  { images, leases, cache, clock }: LeaseServiceParts,
  { image, holder, leaseId }: HoldImageRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof HoldImageResponseSchema>> {
  const leased = await images.lease(image, holder, { again: leaseId });
  const { id } = leased.lease;
  try {
    const ended = leases.whenEnded(id);
    while (!signal.aborted) {
      yield leasedMessage(leased, cache);
      const confirm = wait(clock, confirmIntervalMs, signal).catch(() => undefined);
      const reason = await Promise.race([ended, confirm]);
      if (reason !== undefined) throw new Problem("conflict", `"${image}" is not held any more: ${reason}`);
    }
  } finally {
    await leases.callEnded(id);
  }
}

function leasedMessage({ lease, entry }: LeasedImage, cache: ImageCache) {
  return {
    lease: leaseMessage(lease, cache),
    path: entry.complete ? entry.paths.data : "",
    format: formatMessage(entry.record.format),
  };
}

function leaseMessage({ id, digest, holder, acquiredAt, expiresAt }: Lease, cache: ImageCache): LeaseMessage {
  return create(LeaseSchema, {
    id,
    digest,
    names: cache.get(digest)?.record.names ?? [],
    holder,
    acquiredAt: timestampFromDate(new Date(acquiredAt)),
    ...(expiresAt !== null && { expiresAt: timestampFromDate(new Date(expiresAt)) }),
  });
}
