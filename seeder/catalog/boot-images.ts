/** Boot images among the catalog's images: what belongs to what, what a boot reads, and who records one. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { BootFormatError } from "../../boot/byte-reader.ts";
import { coveredBytesMax, headBytesMax } from "../../boot/limits.ts";
import type { BootProfile } from "../../boot/profile.ts";
import { readHead } from "../../boot/read-file.ts";
import { Problem } from "../../daemon/problem.ts";
import type { CatalogStore, Store } from "../store/store.ts";
import { checkBootImage } from "./boot-check.ts";
import { dependentsOf, orphansAmong } from "./boot-links.ts";
import type { Image } from "./image.ts";
import { bootNameOf, imageOfBootName } from "./names.ts";
import type { Received } from "./receive.ts";
import { RecordingClaims } from "./recording-claims.ts";

export interface BootImagesParts {
  store: CatalogStore & Pick<Store, "replicas">;
  /** Where an image's bytes are. @throws Problem if they are not here. */
  dataPath: (image: Image) => string;
  /** URL of another seeder that has the bytes of an image that are not here. */
  elsewhere: (image: Image) => Promise<string | undefined>;
  nowMs: () => number;
}

export class BootImages {
  readonly #parts: BootImagesParts;
  readonly #claims: RecordingClaims;

  constructor(parts: BootImagesParts) {
    this.#parts = parts;
    this.#claims = new RecordingClaims(parts.store.replicas, parts.nowMs);
  }

  /** Refuses the upload of a boot image that has no image, or is larger than any. @throws Problem. */
  async admit(name: string, sizeBytes: number | undefined): Promise<void> {
    const of = imageOfBootName(name);
    if (of === undefined) return;
    // It is compared with them.
    this.#parts.dataPath(await this.#imageOf(of));
    if ((sizeBytes ?? 0) > headBytesMax + coveredBytesMax) {
      throw new Problem(
        "invalid",
        `a boot image has at most ${headBytesMax + coveredBytesMax} bytes, not ${sizeBytes}`,
      );
    }
  }

  /** The image that has come in, with its links if it is a boot image; that is compared with its image first. */
  async checked({ incoming, image }: Received): Promise<Image> {
    if (!image.boot) return image;
    const of = await this.#imageOf(image.boot.of);
    const head = await checkBootImage({
      path: join(incoming.directory, "data"),
      image: { digest: of.digest, sizeBytes: of.sizeBytes, path: this.#parts.dataPath(of) },
      sourcePath: (digest) => this.#sourcePath(digest),
    });
    return { ...image, boot: { of: of.digest, sources: head.sources.map(({ digest }) => digest) } };
  }

  /** Looks, within a commit, whether what a boot image refers to is still there. @throws Problem. */
  async checkLinks({ boot }: Image): Promise<void> {
    if (!boot) return;
    await this.#imageOf(boot.of);
    for (const digest of boot.sources) await this.#sourcePath(digest);
  }

  /** Looks whether others refer to a boot image that is to go. @throws Problem "conflict". */
  async checkFree({ digest, boot }: Image): Promise<void> {
    if (!boot) return;
    const dependents = dependentsOf(digest, await this.#parts.store.listImages());
    if (dependents.length === 0) return;
    const names = dependents.map((dependent) => dependent.boot?.of).join(", ");
    throw new Problem("conflict", `the boot images of ${names} refer to it; remove those first (bootswarm boot rm)`);
  }

  /** Boot images that nothing keeps any more. */
  async orphans(): Promise<Image[]> {
    return orphansAmong(await this.#parts.store.listImages());
  }

  /**
   * What a boot of an image reads.
   *
   * @throws Problem "not-found" if it was never recorded.
   */
  async profileOf(image: Image): Promise<{ profile: BootProfile; bootImage: Image }> {
    const bootImage = await this.#parts.store.imageByName(bootNameOf(image.digest));
    if (!bootImage)
      throw new Problem("not-found", `no boot of ${image.names[0]} has been recorded (bootswarm boot record)`);
    try {
      await using file = await open(this.#parts.dataPath(bootImage));
      return { profile: (await readHead(file)).head.profile, bootImage };
    } catch (error) {
      if (!(error instanceof BootFormatError)) throw error;
      throw new Problem("data-loss", `the boot image of ${image.names[0]} is damaged; remove it and record it again`, {
        cause: error,
      });
    }
  }

  /** URL of another seeder that can tell what a boot of an image reads, where this one cannot. */
  async profileElsewhere(image: Image): Promise<string | undefined> {
    const bootImage = await this.#parts.store.imageByName(bootNameOf(image.digest));
    return bootImage && (await this.#parts.elsewhere(bootImage));
  }

  /** URL of another seeder that can compare a boot image of that name with its image, where this one cannot. */
  async checkedElsewhere(name: string): Promise<string | undefined> {
    const of = imageOfBootName(name);
    const image = of === undefined ? undefined : await this.#parts.store.imageByDigest(of);
    return image && (await this.#parts.elsewhere(image));
  }

  /**
   * Lets a node record an image's boot.
   *
   * @throws Problem "already-exists" if it was recorded, "conflict" if another node does so now.
   */
  async claim(image: Image, nodeId: string, nodeName: string, durationMs: number): Promise<void> {
    if (image.boot) throw new Problem("invalid", "this is a boot image: name the image whose boot is to be recorded");
    if (await this.#parts.store.imageByName(bootNameOf(image.digest))) {
      const name = image.names[0];
      throw new Problem("already-exists", `${name} has a boot image already; \`bootswarm boot rm ${name}\` removes it`);
    }
    await this.#claims.claim(image.digest, nodeId, nodeName, durationMs);
  }

  release(digest: string, nodeId: string): Promise<void> {
    return this.#claims.release(digest, nodeId);
  }

  async #imageOf(digest: string): Promise<Image> {
    const image = await this.#parts.store.imageByDigest(digest);
    if (image && !image.boot) return image;
    throw new Problem("not-found", `there is no image ${digest} in the catalog, so it can have no boot image`);
  }

  async #sourcePath(digest: string): Promise<string> {
    const source = await this.#parts.store.imageByDigest(digest);
    if (source?.boot) return this.#parts.dataPath(source);
    throw new Problem(
      "not-found",
      `this boot image has blocks in ${digest}, which is no boot image of the catalog; record it again`,
    );
  }
}
