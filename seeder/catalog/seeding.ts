/** The catalog's images in the swarm: those that have a torrent are served to peers as complete. */
import type { Log } from "../../daemon/log.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { TorrentInfo } from "../../swarm/types.ts";

export class Seeding {
  readonly #swarm: Swarm;
  readonly #log: Log;

  constructor(swarm: Swarm, log: Log) {
    this.#swarm = swarm;
    this.#log = log;
  }

  /** Serves an image's verified data to peers, if it is not served already. */
  start(digest: string, info: TorrentInfo, dataPath: string): void {
    const { infohash } = info;
    if (this.#swarm.get(infohash)) return;
    const torrent = this.#swarm.add({ infohash, info, dataPath, complete: true });
    torrent.on("error", (error) => {
      this.#log.error({ digest, infohash, error: error.message }, "this image can no longer be served to peers");
    });
    this.#log.debug({ digest, infohash }, "seeding");
  }

  /** Whether an image of that infohash is served. */
  has(infohash: string): boolean {
    return this.#swarm.get(infohash) !== undefined;
  }

  /** Leaves the torrent's swarm, if it is in it. */
  async stop(infohash: string): Promise<void> {
    await this.#swarm.get(infohash)?.close();
  }
}
