import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { WatchResponseSchema } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { changesQueuedMax, watchersMax } from "../../../seeder/dashboard/limits.ts";
import { Watchers } from "../../../seeder/dashboard/watchers.ts";

const message = (version: string) => create(WatchResponseSchema, { version });

test("a watcher is told the start, then every change, until it leaves", async () => {
  const watchers = new Watchers();
  const leaving = new AbortController();
  const told: string[] = [];
  for await (const { version } of watchers.watch(() => [message("start")], leaving.signal)) {
    told.push(version);
    if (told.length === 1) watchers.publish(message("one"));
    if (told.length === 2) watchers.publish(message("two"));
    if (told.length === 3) leaving.abort();
  }
  expect([told, watchers.count]).toEqual([["start", "one", "two"], 0]);
});

test("a slow watcher is cut off with a word, and no other", async () => {
  const watchers = new Watchers();
  const slow = watchers.watch(() => [message("start")], new AbortController().signal)[Symbol.asyncIterator]();
  await slow.next();
  for (let count = 0; count <= changesQueuedMax; count++) watchers.publish(message("change"));
  await expect(slow.next()).rejects.toThrow("fell behind");
  expect(watchers.count).toBe(0);
});

test("no more pages than so many may be open", async () => {
  const watchers = new Watchers();
  const open = () => watchers.watch(() => [message("start")], new AbortController().signal)[Symbol.asyncIterator]();
  for (let count = 0; count < watchersMax; count++) await open().next();
  await expect(open().next()).rejects.toThrow("close one");
});
