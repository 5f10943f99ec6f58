/** CatalogService: translates and calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import { coveredBytes, encodeProfile } from "../../boot/profile.ts";
import { Problem } from "../../daemon/problem.ts";
import { type CatalogService, ImportState } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Importer } from "../catalog/importer.ts";
import { changeMessage, imageMessage } from "./catalog-messages.ts";

export interface CatalogServiceParts {
  catalog: Catalog;
  importer: Importer;
  /** This seeder as a peer, for magnet links; empty if its address is not known. */
  peers: readonly Endpoint[];
}

export function createCatalogService(parts: CatalogServiceParts): ServiceImpl<typeof CatalogService> {
  const { catalog, importer, peers } = parts;
  return {
    getImage: async ({ image }) => ({ image: imageMessage(await catalog.get(image), peers) }),
    listImages: async () => ({ images: (await catalog.list()).map((image) => imageMessage(image, peers)) }),
    retireImage: async ({ image }) => ({ image: imageMessage(await catalog.retire(image), peers) }),
    createTorrent: async ({ image }) => ({ image: imageMessage(await catalog.createTorrent(image), peers) }),
    async *watchImages(_request, context) {
      for await (const change of catalog.watch(context.signal)) yield changeMessage(change, peers);
    },
    async *importImage(request, context) {
      const { id } = await importer.start(request);
      for await (const message of importer.watch(id, context.signal)) {
        if (message.state !== ImportState.PUBLISHED) yield { import: message };
        else yield { import: message, image: imageMessage(await catalog.get(message.digest), peers) };
      }
    },
    listImports: () => ({ imports: importer.list() }),
    cancelImport: async ({ id }) => ({ import: await importer.cancel(id) }),
    getBootProfile: async ({ image }) => {
      const { profile, bootImage } = await catalog.boot.profileOf(await catalog.get(image));
      return {
        profile: encodeProfile(profile),
        bootImage: imageMessage(bootImage, peers),
        extents: profile.extents.length,
        coveredBytes: BigInt(coveredBytes(profile)),
        blockBytes: profile.blockBytes,
      };
    },
    claimBootRecording: async ({ image, nodeId, nodeName, durationMs }) => {
      await catalog.boot.claim(await catalog.get(image), nodeId, nodeName, durationMs);
      return {};
    },
    releaseBootRecording: async ({ image, nodeId }) => {
      await catalog.boot.release((await catalog.get(image)).digest, nodeId);
      return {};
    },
    listReplicas: () => {
      throw new Problem("unimplemented", "this seeder does not share its catalog with others yet");
    },
    // biome-ignore lint/correctness/useYield: nothing to tell yet
    async *awaitReplicas() {
      throw new Problem("unimplemented", "this seeder does not share its catalog with others yet");
    },
  };
}
