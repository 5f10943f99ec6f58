import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { CatalogStore } from "../store/store.ts";
import type { Commits } from "./commits.ts";
import { findImage } from "./find-image.ts";
import type { Image, ImageTorrent } from "./image.ts";
import type { ImageShelf } from "./image-shelf.ts";
import { torrentFromFile } from "./torrent.ts";

export interface ImageTorrentsParts {
  store: CatalogStore;
  shelf: ImageShelf;
  log: Log;
}

/** The torrents of the images that are in the catalog. */
export class ImageTorrents {
  readonly #parts: ImageTorrentsParts;
  readonly #commits: Commits;
  /** By digest. */
  readonly #making = new Map<string, Promise<Image>>();

  constructor(parts: ImageTorrentsParts, commits: Commits) {
    this.#parts = parts;
    this.#commits = commits;
  }

  /** @throws Problem "not-found" if the image has none, "data-loss" if it should have one and does not. */
  async of(image: Image): Promise<TorrentInfo> {
    const make = `\`bootswarm torrent ${image.names[0]}\` (CreateTorrent) makes it`;
    if (!image.torrent) throw new Problem("not-found", `${image.names[0]} has no torrent; ${make}`);
    const info = await this.#parts.shelf.torrentOf(image);
    if (!info) throw new Problem("data-loss", `the torrent of ${image.names[0]} is lost; ${make}`);
    return info;
  }

  /** Makes an image's torrent from the file at `path`, and seeds it; at once for all who ask meanwhile. */
  make(image: Image, path: string): Promise<Image> {
    const known = this.#making.get(image.digest);
    if (known) return known;
    const making = this.#make(image, path).finally(() => this.#making.delete(image.digest));
    this.#making.set(image.digest, making);
    return making;
  }

  /** Gives an image another torrent, or none, and seeds it. Within a commit. */
  async give(image: Image, info: TorrentInfo | undefined): Promise<Image> {
    const torrent = info && torrentFactsOf(info);
    await this.#parts.store.setTorrent(image.digest, torrent);
    if (info) this.#parts.shelf.seed(image.digest, info);
    return { ...image, torrent };
  }

  async #make({ digest, sizeBytes }: Image, path: string): Promise<Image> {
    const { store, shelf, log } = this.#parts;
    const info = await torrentFromFile(digest, path, sizeBytes);
    return this.#commits.run(async () => {
      const current = await findImage(store, { digest });
      if (shelf.isSeeded(current)) return current;
      await shelf.putTorrent(digest, info);
      const changed = await this.give(current, info);
      await shelf.note(changed);
      this.#commits.tell({ kind: "changed", image: changed });
      log.info({ digest, infohash: info.infohash }, "made the torrent");
      return changed;
    });
  }
}

/** What the catalog says of a torrent. */
export function torrentFactsOf(info: TorrentInfo): ImageTorrent {
  return { infohash: info.infohash, pieceLengthBytes: info.pieceLengthBytes };
}
