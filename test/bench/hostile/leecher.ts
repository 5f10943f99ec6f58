/**
 * An honest leecher: leecher.ts INFOHASH PORT PATH. Tells how many seconds it took, and how many until its first piece; asked
 * before it has all, how far it is.
 */
import { Swarm } from "../../../swarm/swarm.ts";
import type { Fetched } from "./messages.ts";

const [infohash, port, dataPath] = process.argv.slice(2) as [string, string, string];
const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
const startedAtMs = performance.now();
const peers = [{ host: "127.0.0.1", port: Number(port) }];
const torrent = swarm.add({ infohash, dataPath, havePath: `${dataPath}.have`, peers });
const sinceStart = () => (performance.now() - startedAtMs) / 1_000;
let firstPieceSeconds = 0;
torrent.once("piece", () => {
  firstPieceSeconds = sinceStart();
});
const tell = () => {
  const told: Fetched = { seconds: sinceStart(), firstPieceSeconds, bytes: torrent.status().doneBytes };
  process.send?.(told);
};
process.on("message", tell);
torrent.once("complete", async () => {
  tell();
  await swarm.close();
  process.exit(0);
});
