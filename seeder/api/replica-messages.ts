/** Seeders that share a catalog, as API messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ReplicaFetchSchema,
  type ReplicaSchema,
  ReplicaState,
  type ReplicationSchema,
} from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Image } from "../catalog/image.ts";
import type { Replication } from "../replicas/await-copies.ts";
import type { ReplicaView } from "../replicas/roster.ts";
import type { CopyProgress } from "../store/replica-store.ts";

const states = { up: ReplicaState.UP, lost: ReplicaState.LOST } as const;

export function replicaMessage(replica: ReplicaView, images: readonly Image[]): MessageInitShape<typeof ReplicaSchema> {
  const held = images.filter(({ digest }) => replica.images.has(digest));
  const { id, url, host, peerPort, dhtPort, version } = replica;
  return {
    ...{ id, url, host, peerPort, dhtPort, version },
    state: states[replica.state],
    seenAt: timestampFromMs(replica.seenAtMs),
    images: held.length,
    bytes: BigInt(held.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)),
    imagesMissing: images.length - held.length,
    freeBytes: BigInt(replica.freeBytes),
    fetches: replica.fetches.map(replicaFetchMessage),
    answering: replica.isSelf,
  };
}

export function replicationMessage(replication: Replication): MessageInitShape<typeof ReplicationSchema> {
  const { wanted, holding, fetching } = replication;
  return { wanted, holding, fetching: fetching.map(replicaFetchMessage) };
}

function replicaFetchMessage(copy: CopyProgress): MessageInitShape<typeof ReplicaFetchSchema> {
  const { digest, sizeBytes, doneBytes, trouble } = copy;
  return { digest, sizeBytes: BigInt(sizeBytes), doneBytes: BigInt(doneBytes), trouble };
}
