import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { onTestFinished } from "vitest";
import { loadConfig } from "../../../daemon/config.ts";
import { createLog, type Log } from "../../../daemon/log.ts";
import { CatalogService } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { InventoryService } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { PlacementService } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { seederConfigSchema } from "../../../seeder/config.ts";
import { openSeeder, type Seeder } from "../../../seeder/seeder.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** A seeder in this process, on ports of the kernel's choice, and clients of its API. */
export interface RunningSeeder {
  seeder: Seeder;
  url: string;
  dataDirectory: string;
  catalog: ReturnType<typeof createClient<typeof CatalogService>>;
  inventory: ReturnType<typeof createClient<typeof InventoryService>>;
  placement: ReturnType<typeof createClient<typeof PlacementService>>;
  /** Closes it and opens another on the same directory. */
  restart(settings?: Record<string, unknown>): Promise<RunningSeeder>;
}

/** Starts a seeder that is closed when the test has finished. */
export async function startSeeder(
  settings: Record<string, unknown> = {},
  log: Log = createLog({ level: "silent", name: "test" }),
): Promise<RunningSeeder> {
  const dataDirectory = (settings.dataDirectory as string | undefined) ?? join(await temporaryDirectory(), "data");
  const config = loadConfig(seederConfigSchema, {
    settings: { listen: "127.0.0.1:0", "swarm.port": 0, "dht.port": 0, ...settings, dataDirectory },
  });
  const seeder = await openSeeder(config, log);
  let closed = false;
  const close = async () => {
    if (!closed) await seeder.close();
    closed = true;
  };
  onTestFinished(close);
  const transport = createConnectTransport({ baseUrl: seeder.url, httpVersion: "1.1" });
  return {
    seeder,
    url: seeder.url,
    dataDirectory,
    catalog: createClient(CatalogService, transport),
    inventory: createClient(InventoryService, transport),
    placement: createClient(PlacementService, transport),
    restart: async (more = {}) => {
      await close();
      return startSeeder({ ...settings, ...more, dataDirectory });
    },
  };
}
