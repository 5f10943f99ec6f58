/** Which engine the seeder's facts are kept by. */
import { join } from "node:path";
import type { Log } from "../../daemon/log.ts";
import type { SeederConfig } from "../config.ts";
import { postgresAddressFrom } from "./postgres-address.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

/**
 * Opens the store that is configured: PostgreSQL, or the file in the data directory.
 *
 * @throws Problem if it cannot be used.
 */
export async function openStore(config: Pick<SeederConfig, "store" | "dataDirectory">, log: Log): Promise<Store> {
  const { url, passwordFile } = config.store;
  if (url === "") return openSqliteStore(join(config.dataDirectory, "seeder.sqlite"), log);
  const address = postgresAddressFrom(url, passwordFile);
  // A seeder with its own file has no use for the driver.
  const { openPostgresStore } = await import("./postgres.ts");
  return openPostgresStore(address, log);
}
