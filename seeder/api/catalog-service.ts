/** CatalogService: translates and calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import { coveredBytes, encodeProfile } from "../../boot/profile.ts";
import type { Image as ApiImage } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { type CatalogService, ImportState } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import type { Image } from "../catalog/image.ts";
import type { Importer } from "../catalog/importer.ts";
import { awaitCopies, checkWanted } from "../replicas/await-copies.ts";
import type { Roster } from "../replicas/roster.ts";
import { changeMessage } from "./catalog-messages.ts";
import { otherCatalog, sentOn, wasSentOn } from "./other-catalogs.ts";
import { replicaMessage, replicationMessage } from "./replica-messages.ts";

export interface CatalogServiceParts {
  catalog: Catalog;
  importer: Importer;
  /** The seeders that share the catalog. */
  roster: Roster;
  messageOf: (image: Image) => ApiImage;
}

export function createCatalogService(parts: CatalogServiceParts): ServiceImpl<typeof CatalogService> {
  const { catalog, importer, roster, messageOf } = parts;
  return {
    getImage: async ({ image }) => ({ image: messageOf(await catalog.get(image)) }),
    listImages: async () => ({ images: (await catalog.list()).map((image) => messageOf(image)) }),
    retireImage: async ({ image }) => ({ image: messageOf(await catalog.retire(image)) }),
    createTorrent: async (request, context) => {
      const elsewhere = await catalog.elsewhere(await catalog.get(request.image));
      if (elsewhere && !wasSentOn(context.requestHeader)) {
        return await otherCatalog(elsewhere).createTorrent(request, { ...sentOn, signal: context.signal });
      }
      return { image: messageOf(await catalog.createTorrent(request.image)) };
    },
    async *watchImages(_request, context) {
      for await (const change of catalog.watch(context.signal)) yield changeMessage(change, messageOf);
    },
    async *importImage(request, context) {
      const { replicas, replicasTimeoutMs } = request;
      checkWanted(roster, replicas);
      const { id } = await importer.start(request);
      for await (const message of importer.watch(id, context.signal)) {
        if (message.state !== ImportState.PUBLISHED) {
          yield { import: message };
          continue;
        }
        const image = await catalog.get(message.digest);
        if (replicas < 2) yield { import: message, image: messageOf(image) };
        else {
          for await (const replication of awaitCopies(roster, image, replicas, replicasTimeoutMs, context.signal)) {
            yield { import: message, image: messageOf(image), replication: replicationMessage(replication) };
          }
        }
      }
    },
    listImports: () => ({ imports: importer.list() }),
    cancelImport: async ({ id }) => ({ import: await importer.cancel(id) }),
    getBootProfile: async (request, context) => {
      const image = await catalog.get(request.image);
      const elsewhere = await catalog.boot.profileElsewhere(image);
      if (elsewhere && !wasSentOn(context.requestHeader)) {
        return await otherCatalog(elsewhere).getBootProfile(request, { ...sentOn, signal: context.signal });
      }
      const { profile, bootImage } = await catalog.boot.profileOf(image);
      return {
        profile: encodeProfile(profile),
        bootImage: messageOf(bootImage),
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
    listReplicas: async () => {
      const images = await catalog.list();
      return { replicas: roster.list().map((replica) => replicaMessage(replica, images)) };
    },
    forgetReplica: async ({ replica }) => {
      const images = await catalog.list();
      return { replica: replicaMessage(await roster.forget(replica), images) };
    },
    async *awaitReplicas({ image, replicas, timeoutMs }, context) {
      const waiting = awaitCopies(roster, await catalog.get(image), replicas, timeoutMs, context.signal);
      for await (const replication of waiting) yield { replication: replicationMessage(replication) };
    },
  };
}
