import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openAgent } from "../../agent/agent.ts";
import { agentConfigSchema } from "../../agent/config.ts";
import { loadConfig } from "../../daemon/config.ts";
import { createLog } from "../../daemon/log.ts";
import { seederConfigSchema } from "../../seeder/config.ts";
import { openSeeder } from "../../seeder/seeder.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { readmePath } from "../readme-config.ts";

const anyPorts = { listen: "127.0.0.1:0", "swarm.port": 0, "dht.port": 0 };
const log = createLog({ level: "silent", name: "test" });

test("README names every metric of the two daemons, with its kind, and no other", async () => {
  const directory = await temporaryDirectory();
  const seederSettings = { ...anyPorts, dataDirectory: join(directory, "data") };
  const seeder = await openSeeder(loadConfig(seederConfigSchema, { settings: seederSettings }), log);
  onTestFinished(() => seeder.close());
  const agentSettings = { ...anyPorts, stateDirectory: join(directory, "state"), "seeder.url": seeder.url };
  const agent = await openAgent(loadConfig(agentConfigSchema, { settings: agentSettings }), log);
  onTestFinished(() => agent.close());

  const served = (await Promise.all([seeder.url, agent.url].map(metricsOf))).flat();
  const rows = readFileSync(readmePath, "utf8").matchAll(/^\| `(bootswarm_\w+)[^|]*\| (\w+) \|/gm);
  const told = [...rows].map(([, name, kind]) => `${name} ${kind}`);
  expect(told.toSorted()).toEqual(served.toSorted());
});

/** "NAME KIND" of each metric of the project's own. */
async function metricsOf(url: string): Promise<string[]> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return [...text.matchAll(/^# TYPE (bootswarm_\w+ \w+)$/gm)].map(([, metric]) => metric as string);
}
