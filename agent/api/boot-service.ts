import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "../../daemon/problem.ts";
import type { AgentService } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import {
  type BootRecording,
  BootRecordingSchema,
  BootRecordingState,
  type RecordBootRequest,
} from "../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import type { Boots } from "../boot/boots.ts";
import type { RecordableDisk, RecordingState, RecordingView } from "../boot/recorder.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import type { Attachments } from "../disk/attachments.ts";
import { imageRefFrom } from "../image-ref.ts";

export interface BootServiceParts {
  boots: Boots;
  attachments: Attachments;
  cache: ImageCache;
  inUse: InUse;
}

type BootMethods = "recordBoot" | "stopRecording" | "listBootImages";

/** The part of AgentService that is about boots. */
export function bootMethods(parts: BootServiceParts): Pick<ServiceImpl<typeof AgentService>, BootMethods> {
  const { boots, cache, inUse } = parts;
  const { recorder } = boots;
  return {
    async *recordBoot(request, context) {
      const disk = diskToRecord(parts, request);
      // One that began by itself is followed.
      if (!isUnderWay(recorder.find(disk.digest))) await recorder.start(disk, rulesFrom(request));
      for (;;) {
        const { version } = recorder.changes;
        const view = recorder.find(disk.digest);
        if (!view) return;
        yield { recording: recordingMessage(view) };
        if (!isUnderWay(view)) return;
        await recorder.changes.after(version, context.signal);
        if (context.signal.aborted) return;
      }
    },
    stopRecording: ({ image }) => ({ recording: recordingMessage(recorder.stop(digestOf(parts, image))) }),
    listBootImages: () => ({
      bootImages: cache.list().flatMap(({ complete, record: { digest, bootOf, sizeBytes } }) => {
        if (!complete || bootOf === undefined) return [];
        return [{ digest, bootOf, sizeBytes: BigInt(sizeBytes), holders: inUse.holdersOf(digest) }];
      }),
      recordings: recorder.list().map(recordingMessage),
      memoryBytes: BigInt(boots.stats.bytes),
      memorySharedBytes: BigInt(boots.stats.sharedBytes),
      memoryBytesMax: BigInt(boots.memoryBytesMax),
    }),
  };
}

/** The disk that a boot is to be recorded of. */
function diskToRecord(parts: BootServiceParts, { image, disk }: RecordBootRequest): RecordableDisk {
  const digest = digestOf(parts, image);
  const disks = parts.attachments
    .list()
    .filter(({ record, state }) => record.digest === digest && state === "serving")
    .sort((a, b) => (a.record.attachedAt < b.record.attachedAt ? 1 : -1));
  const found = disk === "" ? disks[0] : disks.find(({ record }) => record.name === disk);
  if (found) return { id: found.record.id, name: found.record.name, digest };
  const which = disk === "" ? "no disk" : `no disk "${disk}"`;
  throw new Problem(
    "conflict",
    `${which} of "${image}" is attached here; \`bootswarm disk attach ${image}\`, then record, then boot a VM from it`,
  );
}

function digestOf({ cache }: BootServiceParts, image: string): string {
  const ref = imageRefFrom(image);
  const digest = ref.digest ?? cache.findByName(ref.name)?.record.digest;
  if (digest !== undefined) return digest;
  throw new Problem(
    "not-found",
    `"${image}" is not in this node's cache; a boot is recorded through a disk of the image`,
  );
}

function rulesFrom({ quietMs, bytesMax }: RecordBootRequest) {
  return { ...(quietMs > 0 && { quietMs }), ...(bytesMax > 0n && { bytesMax: Number(bytesMax) }) };
}

function isUnderWay(view: RecordingView | undefined): boolean {
  return view !== undefined && view.state !== "published" && view.state !== "failed";
}

const states: Readonly<Record<RecordingState, BootRecordingState>> = {
  recording: BootRecordingState.RECORDING,
  waiting: BootRecordingState.WAITING,
  packing: BootRecordingState.PACKING,
  publishing: BootRecordingState.PUBLISHING,
  published: BootRecordingState.PUBLISHED,
  failed: BootRecordingState.FAILED,
};

function recordingMessage(view: RecordingView): BootRecording {
  return create(BootRecordingSchema, {
    digest: view.digest,
    disk: view.disk,
    state: states[view.state],
    startedAt: timestampFromDate(view.startedAt),
    reads: BigInt(view.reads),
    blockBytes: BigInt(view.blockBytes),
    bootImageBytes: BigInt(view.bootImageBytes),
    sharedBytes: BigInt(view.sharedBytes),
    error: view.error,
  });
}
