import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { type Disk, DiskSchema, DiskState } from "../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import { formatMessage } from "../catalog/image-facts.ts";
import type { AttachmentState, AttachmentView } from "../disk/attachment.ts";
import type { Attachments } from "../disk/attachments.ts";

export interface DiskServiceParts {
  attachments: Attachments;
}

type DiskMethods = "attachDisk" | "detachDisk" | "listDisks" | "handOverDisk";

/** The part of AgentService that is about disks. */
export function diskMethods({ attachments }: DiskServiceParts): Pick<ServiceImpl<typeof AgentService>, DiskMethods> {
  return {
    attachDisk: async (request) => ({ disk: diskMessage(await attachments.attach(request)) }),
    detachDisk: async ({ name, force }) => ({ disk: diskMessage(await attachments.detach(name, force)) }),
    listDisks: () => ({ disks: attachments.list().map(diskMessage) }),
    handOverDisk: async ({ name, qmpPath }, { signal }) => ({
      disk: diskMessage(await attachments.handOver(name, qmpPath, signal)),
    }),
  };
}

const states: Readonly<Record<AttachmentState, DiskState>> = {
  serving: DiskState.SERVING,
  failed: DiskState.FAILED,
  "handed-over": DiskState.HANDED_OVER,
};

function diskMessage({ record, state, error, uri, tcpUri, nodePrefix, entry, stats }: AttachmentView): Disk {
  return create(DiskSchema, {
    name: record.name,
    digest: record.digest,
    imageNames: entry?.record.names ?? [],
    state: states[state],
    error,
    uri,
    tcpUri,
    socketPath: record.socketPath,
    imagePath: entry?.paths.data ?? "",
    format: formatMessage(entry?.record.format ?? "unknown"),
    sizeBytes: BigInt(entry?.record.sizeBytes ?? 0),
    virtualSizeBytes: BigInt(entry?.record.virtualSizeBytes ?? 0),
    imageComplete: entry?.complete ?? false,
    nodePrefix,
    overlayPath: record.overlayPath,
    mountPath: record.mountPath,
    qmpPath: record.qmpPath,
    attachedAt: timestampFromDate(new Date(record.attachedAt)),
    ...(record.handedOverAt !== null && { handedOverAt: timestampFromDate(new Date(record.handedOverAt)) }),
    ...(stats && statsFields(stats)),
  });
}

function statsFields(stats: NonNullable<AttachmentView["stats"]>) {
  return {
    ...(stats.lastReadAtMs > 0 && { lastReadAt: timestampFromDate(new Date(stats.lastReadAtMs)) }),
    connections: stats.connections,
    reads: BigInt(stats.reads),
    readBytes: BigInt(stats.readBytes),
    bootImageBytes: BigInt(stats.bootImageBytes),
    fileBytes: BigInt(stats.fileBytes),
    demandBytes: BigInt(stats.demandBytes),
    readErrors: BigInt(stats.errors),
  };
}
