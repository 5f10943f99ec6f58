import { formatBytes } from "../../figures/units.ts";
import {
  type BootRecording,
  BootRecordingState,
  type ListBootImagesResponse,
} from "../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import type { GetBootProfileResponse } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Table } from "../table.ts";
import { imageLabel, type NamesByDigest } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** The catalog's boot images, by the images they are of. */
export function bootImagesTable(images: readonly Image[], nowMs: number): Table {
  const byDigest = new Map(images.map((image) => [image.digest, image]));
  const nameOf = (digest: string) => imageLabel(byDigest.get(digest)?.names ?? [], digest);
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "SIZE", align: "right" },
      { header: "BOOT IMAGE", align: "right" },
      { header: "SHARES BLOCKS WITH", shrinkTo: 12, dropOrder: 2 },
      { header: "RECORDED", dropOrder: 1 },
      { header: "SHA256", shrinkTo: 12 },
    ],
    rows: images
      .filter(({ bootOf }) => bootOf !== "")
      .map((image) => {
        const of = byDigest.get(image.bootOf);
        return [
          nameOf(image.bootOf),
          of ? formatBytes(of.sizeBytes) : "-",
          formatBytes(image.sizeBytes),
          image.bootSources.map((source) => nameOf(byDigest.get(source)?.bootOf ?? source)).join(", ") || "-",
          ageOf(image.createdAt, nowMs),
          image.digest,
        ];
      }),
  };
}

/** The boot images on one node. */
export function localBootImagesTable({ bootImages }: ListBootImagesResponse, names: NamesByDigest): Table {
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "BOOT IMAGE", align: "right" },
      { header: "USED BY", align: "right" },
      { header: "SHA256", shrinkTo: 12 },
    ],
    rows: bootImages.map(({ bootOf, sizeBytes, holders, digest }) => [
      imageLabel(names.get(bootOf) ?? [], bootOf),
      formatBytes(sizeBytes),
      holders.length === 0 ? "-" : `${holders.length} ${holders.length === 1 ? "image" : "images"}`,
      digest,
    ]),
  };
}

/** Recordings on one node. */
export function recordingsTable(recordings: readonly BootRecording[], names: NamesByDigest, nowMs: number): Table {
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "DISK", shrinkTo: 12 },
      { header: "STATE", shrinkTo: 14, paint: (cell, style) => (cell.startsWith("failed") ? style.red(cell) : cell) },
      { header: "READS", align: "right" },
      { header: "READ", align: "right" },
      { header: "BEGUN", dropOrder: 1 },
    ],
    rows: recordings.map((recording) => [
      imageLabel(names.get(recording.digest) ?? [], recording.digest),
      recording.disk,
      recording.error === "" ? stateText(recording.state) : `failed: ${recording.error}`,
      String(recording.reads),
      formatBytes(recording.blockBytes),
      ageOf(recording.startedAt, nowMs),
    ]),
  };
}

/** What a boot reads. */
export function profileTable(answer: GetBootProfileResponse, nowMs: number): Table {
  const { bootImage, extents, coveredBytes, blockBytes } = answer;
  return {
    columns: [
      { header: "READS", align: "right" },
      { header: "EXTENTS", align: "right" },
      { header: "BLOCKS OF", align: "right" },
      { header: "BOOT IMAGE", align: "right" },
      { header: "RECORDED", dropOrder: 1 },
      { header: "SHA256", shrinkTo: 12 },
    ],
    rows: [
      [
        formatBytes(coveredBytes),
        String(extents),
        formatBytes(blockBytes),
        formatBytes(bootImage?.sizeBytes ?? 0n),
        ageOf(bootImage?.createdAt, nowMs),
        bootImage?.digest ?? "",
      ],
    ],
  };
}

/** A recording as one line. */
export function describeRecording(recording: BootRecording, image: string): string {
  const { state, reads, blockBytes, bootImageBytes, sharedBytes } = recording;
  const read = `${reads} reads, ${formatBytes(blockBytes)}`;
  if (state !== BootRecordingState.PUBLISHED) return `${image}: ${stateText(state)} (${read})`;
  const shared = sharedBytes > 0n ? `, and shares ${formatBytes(sharedBytes)} with those of other images` : "";
  return `recorded a boot of ${image}: ${read}; its boot image has ${formatBytes(bootImageBytes)}${shared}`;
}

function stateText(state: BootRecordingState): string {
  switch (state) {
    case BootRecordingState.RECORDING:
      return "recording";
    case BootRecordingState.WAITING:
      return "waiting for the rest of the image";
    case BootRecordingState.PACKING:
      return "making the boot image";
    case BootRecordingState.PUBLISHING:
      return "publishing";
    case BootRecordingState.PUBLISHED:
      return "published";
    case BootRecordingState.FAILED:
      return "failed";
    default:
      return "?";
  }
}
