/** An agent that serves a disk of a complete image, and fetches three others from a seeder on this machine all the while. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { request } from "undici";
import { AgentService } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { makeRandomFile } from "../../fixtures/disks.ts";
import { startDaemon } from "../child.ts";
import type { BenchServer } from "./servers.ts";

/** As many as an agent has active. */
const fetchesAtOnce = 3;

export interface FetchingAgent {
  server: BenchServer;
  /** Bytes fetched so far. */
  fetchedBytes(): number;
}

/**
 * Resolves once the disk is served and the fetches run; they go on, each anew when it is done, until `running` is disposed of.
 *
 * @param images the disk's image, and the size of each of the others
 */
export async function startFetchingAgent(
  { file, fetchedMib }: { file: string; fetchedMib: number },
  folder: string,
  running: AsyncDisposableStack,
): Promise<FetchingAgent> {
  const seeder = await startDaemon("seeder", { dataDirectory: join(folder, "seeder") });
  running.use(seeder.process);
  await publish(seeder.url, file, "disk");
  const others = Array.from({ length: fetchesAtOnce }, (_, index) => `other-${index + 1}`);
  for (const name of others) await publish(seeder.url, await makeRandomFile(folder, name, fetchedMib), name);
  const settings = { stateDirectory: join(folder, "agent"), "seeder.url": seeder.url, "boot.record": "off" };
  const agent = await startDaemon("agent", settings);
  running.use(agent.process);
  const transport = createConnectTransport({ baseUrl: agent.url, httpVersion: "1.1" });
  const service = createClient(AgentService, transport);
  await fetched(service, "disk");
  const { disk } = await service.attachDisk({ image: "disk", name: "bench" });
  const bytesOf = new Map<string, number>();
  const over = new AbortController();
  const fetching = others.map(async (name) => {
    while (!over.signal.aborted) {
      const before = bytesOf.get(name) ?? 0;
      await fetched(service, name, over.signal, (bytes) => bytesOf.set(name, before + bytes));
      await service.removeImage({ image: name });
    }
  });
  running.defer(async () => {
    over.abort();
    await Promise.allSettled(fetching);
  });
  const target = { uri: disk?.uri as string };
  const fetchedBytes = () => [...bytesOf.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { server: { contender: "bootswarm", process: agent.process, target }, fetchedBytes };
}

async function publish(seederUrl: string, path: string, name: string): Promise<void> {
  const options = { method: "PUT", body: createReadStream(path) } as const;
  const { statusCode, body } = await request(`${seederUrl}/images/${name}`, options);
  const said = await body.text();
  if (statusCode >= 300) throw new Error(`publishing ${name} was answered ${statusCode}: ${said}`);
}

/** Fetches an image to its end, and tells how many of its bytes are here as they come. */
async function fetched(
  service: Client<typeof AgentService>,
  image: string,
  signal?: AbortSignal,
  tell: (bytes: number) => void = () => {},
): Promise<void> {
  const answers = service.ensureImage({ image }, signal ? { signal } : {});
  for await (const { fetch, path } of answers) {
    if (fetch) tell(Number(fetch.doneBytes));
    if (fetch?.error) throw new Error(`${image}: ${fetch.error}`);
    if (path) break;
  }
}
