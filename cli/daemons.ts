import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AgentService } from "../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { CatalogService } from "../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { InventoryService } from "../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { PlacementService } from "../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { PrefetchService } from "../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { Health } from "../proto/gen/grpc/health/v1/health_pb.js";
import { anyDaemonOf } from "./any-daemon.ts";
import type { DaemonAddress } from "./daemon-address.ts";
import { explainErrors } from "./daemon-errors.ts";

export const seederUrlDefault = "http://127.0.0.1:7400";
export const agentUrlDefault = "http://127.0.0.1:7410";

/** Longest wait for an answer that needs no work, in milliseconds; a stream or a torrent's making has no such limit. */
export const answerMsMax = 15_000;

/** The services of a seeder, or of several that share a catalog: those of the first that answers. */
export interface Seeder {
  /** Of several, the one that answered last. */
  readonly address: DaemonAddress;
  catalog: Client<typeof CatalogService>;
  inventory: Client<typeof InventoryService>;
  placement: Client<typeof PlacementService>;
  prefetch: Client<typeof PrefetchService>;
  /** The one that answers, for what is no call; the only one, without asking. */
  find(signal: AbortSignal): Promise<DaemonAddress>;
}

/** An agent's service. */
export interface Agent {
  address: DaemonAddress;
  service: Client<typeof AgentService>;
}

/** Clients of the seeder at an address, or at any of some. Nothing is connected until the first call. */
export function seederAt(...addresses: readonly DaemonAddress[]): Seeder {
  const any = anyDaemonOf(addresses, transportTo);
  const { transport } = any;
  return {
    get address() {
      return any.address;
    },
    catalog: createClient(CatalogService, transport),
    inventory: createClient(InventoryService, transport),
    placement: createClient(PlacementService, transport),
    prefetch: createClient(PrefetchService, transport),
    find: async (signal) => {
      if (addresses.length > 1) await createClient(Health, transport).check({}, { timeoutMs: answerMsMax, signal });
      return any.address;
    },
  };
}

/** A client of the agent at an address. Nothing is connected until the first call. */
export function agentAt(address: DaemonAddress): Agent {
  return { address, service: createClient(AgentService, transportTo(address)) };
}

function transportTo(address: DaemonAddress) {
  const transport = createConnectTransport({
    baseUrl: address.baseUrl,
    httpVersion: "1.1",
    ...(address.socketPath === undefined ? {} : { nodeOptions: { socketPath: address.socketPath } }),
  });
  return explainErrors(transport, address);
}
