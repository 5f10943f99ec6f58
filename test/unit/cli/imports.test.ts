import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { transferOfImport } from "../../../cli/views/imports.ts";
import { ImportSchema, ImportState } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";

test.each([
  ["before the source answers", { doneBytes: 0n }, "waiting for the source"],
  ["while bytes come", { sizeBytes: 100n, doneBytes: 50n, bytesPerSecond: 10n }, undefined],
  ["while the seeder asks a broken source again", { sizeBytes: 100n, doneBytes: 50n }, "waiting for the source"],
  ["when all bytes are there", { sizeBytes: 100n, doneBytes: 100n }, "the seeder finishes"],
  ["in the queue", { state: ImportState.QUEUED }, "queued"],
] as const)("%s, an import's progress says so", (_when, fields, state) => {
  expect(transferOfImport(create(ImportSchema, { state: ImportState.ACTIVE, ...fields })).state).toBe(state);
});
