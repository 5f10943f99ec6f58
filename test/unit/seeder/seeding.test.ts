import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Swarm } from "../../../swarm/swarm.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { type RunningSeeder, startSeeder } from "./running-seeder.ts";

/** Publishes bytes and gives the infohash. */
async function publish({ url }: RunningSeeder, name: string, bytes: Uint8Array, query = ""): Promise<string> {
  const body = bytes as unknown as string;
  const response = await fetch(`${url}/images/${name}${query}`, { method: "PUT", body });
  return ((await response.json()) as { infohash?: string }).infohash ?? "";
}

/** Fetches an infohash knowing nothing but the seeder's DHT node. */
async function fetched({ seeder }: RunningSeeder, infohash: string): Promise<Buffer> {
  const directory = await temporaryDirectory();
  const bootstrap = [{ host: "127.0.0.1", port: seeder.dhtPort }];
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, bootstrap });
  onTestFinished(() => swarm.close());
  const dataPath = join(directory, "data");
  const torrent = swarm.add({ infohash, dataPath, havePath: join(directory, "have") });
  await once(torrent, "complete");
  return readFile(dataPath);
}

test("a published image is in the swarm, where its infohash alone is enough to get it", async () => {
  const seeder = await startSeeder();
  const bytes = randomBytes(3_000_000);
  const infohash = await publish(seeder, "one", bytes);
  expect((await fetched(seeder, infohash)).equals(bytes)).toBe(true);
});

test("an image is in the swarm again after a restart, and one whose torrent came late", async () => {
  const seeder = await startSeeder();
  const bytes = randomBytes(1_000_000);
  await publish(seeder, "one", bytes, "?torrent=false");
  const { image } = await seeder.catalog.createTorrent({ image: "one" });
  const again = await seeder.restart();
  expect((await fetched(again, image?.infohash ?? "")).equals(bytes)).toBe(true);
});

test("a retired image is no longer in the swarm", async () => {
  const seeder = await startSeeder();
  await publish(seeder, "one", randomBytes(100_000));
  const torrents = async () => {
    const text = await (await fetch(`${seeder.url}/metrics`)).text();
    return /^bootswarm_seeder_torrents (\d+)$/m.exec(text)?.[1];
  };
  expect(await torrents()).toBe("1");
  await seeder.catalog.retireImage({ image: "one" });
  expect(await torrents()).toBe("0");
});
