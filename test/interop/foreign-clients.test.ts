/** Other BitTorrent clients take images from our seeder, and give them to our agents; the engine alone is in matrix.test.ts. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import torrentStream from "torrent-stream";
import { request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { ensure, fetchOf, publish, startAgent, startSeeder, type TestSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { type ForeignPeerOptions, startAria2, startLibtorrent } from "../fixtures/foreign-peers.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const clients = [
  { name: "aria2c", start: startAria2 },
  { name: "libtorrent", start: startLibtorrent },
];

/** The name under which a client keeps the image is the torrent's own, which need not be the image's. */
async function torrentFileOf(seeder: TestSeeder, image: Image, directory: string) {
  const path = join(directory, "image.torrent");
  const { body, statusCode } = await request(`${seeder.url}/images/${image.digest}.torrent`);
  expect(statusCode).toBe(200);
  const bytes = Buffer.from(await body.arrayBuffer());
  await writeFile(path, bytes);
  const parsed = torrentStream(bytes, { dht: false, tracker: false, tmp: directory, path: join(directory, "none") });
  onTestFinished(() => parsed.destroy());
  return { path, bytes, dataName: (parsed.files[0] as { name: string }).name };
}

describe.each(clients)(
  "$name",
  ({ start }: { start: (options: ForeignPeerOptions) => ReturnType<typeof startAria2> }) => {
    test("takes an image from our seeder by nothing but the magnet link, found through our DHT", async () => {
      const directory = await temporaryDirectory();
      const seeder = await startSeeder(join(directory, "seeder"));
      const image = await publish(seeder, await makeRandomFile(directory, "image", 12), "image");
      const { dataName } = await torrentFileOf(seeder, image, directory);
      const downloads = await temporaryDirectory();
      const peer = await start({ torrent: image.magnetUri, directory: downloads, dhtPort: seeder.dhtPort });
      await peer.complete;
      expect(await sha256Of(join(downloads, dataName))).toBe(image.digest);
    });

    test("gives an image to our agent when our seeder does not", async () => {
      const directory = await temporaryDirectory();
      // Far too slow to be where the image comes from.
      const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 65_536 });
      const source = await makeRandomFile(directory, "image", 12);
      const image = await publish(seeder, source, "image");
      const { path, dataName } = await torrentFileOf(seeder, image, directory);
      const seedDirectory = await temporaryDirectory();
      await writeFile(join(seedDirectory, dataName), await readFile(source));
      const peer = await start({ torrent: path, directory: seedDirectory, dhtPort: seeder.dhtPort });
      await peer.complete;
      const agent = await startAgent(seeder.url, join(directory, "node"), { "fetch.fallback": "off" });
      const { path: fetched, fetch } = await ensure(agent, "image");
      expect(await sha256Of(fetched)).toBe(image.digest);
      expect(fetch.httpBytes).toBe(0n);
    });
  },
);

describe("torrent-stream", () => {
  test("takes an image from our seeder, and gives it to our agent", async () => {
    const directory = await temporaryDirectory();
    const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 4 * 1024 * 1024 });
    const image = await publish(seeder, await makeRandomFile(directory, "image", 12), "image");
    const { bytes, dataName } = await torrentFileOf(seeder, image, directory);
    const downloads = await temporaryDirectory();
    const engine = torrentStream(bytes, { dht: false, tracker: false, tmp: downloads, path: downloads });
    onTestFinished(() => new Promise<void>((resolve) => engine.destroy(resolve)));
    await new Promise<void>((resolve) => engine.once("ready", resolve));
    (engine.files[0] as unknown as { select(): void }).select();
    engine.connect(`127.0.0.1:${seeder.peerPort}`);
    await new Promise<void>((resolve) => engine.once("idle", resolve));
    expect(
      await eventually(async () => {
        const digest = await sha256Of(join(downloads, dataName)).catch(() => "");
        return digest === image.digest ? digest : undefined;
      }, "torrent-stream has written the image"),
    ).toBe(image.digest);
    const agent = await startAgent(seeder.url, join(directory, "node"), { "fetch.fallback": "off" });
    const ensured = ensure(agent, "image");
    ensured.catch(() => {});
    engine.connect(`127.0.0.1:${agent.peerPort}`);
    expect(await sha256Of((await ensured).path)).toBe(image.digest);
    expect((await fetchOf(agent, image.digest))?.httpBytes).toBe(0n);
    expect(engine.swarm.downloaded).toBeGreaterThanOrEqual(Number(image.sizeBytes));
  });
});
