import { expect, test } from "vitest";
import { ChangeFeed, type ImageChange } from "../../../seeder/catalog/changes.ts";

const change = (name: string): ImageChange => ({
  kind: "changed",
  image: {
    digest: "a".repeat(64),
    names: [name],
    sizeBytes: 1,
    format: "raw",
    virtualSizeBytes: 1,
    torrent: undefined,
    createdAtMs: 0,
  },
});

test("every watcher gets every change from its subscription on, in order", async () => {
  const feed = new ChangeFeed();
  const stop = new AbortController();
  feed.publish(change("before"));
  const watches = [feed.subscribe(stop.signal), feed.subscribe(stop.signal)];
  for (const name of ["1", "2", "3"]) feed.publish(change(name));
  for (const watch of watches) {
    const names: string[] = [];
    for await (const { image } of watch) {
      names.push(image.names[0] as string);
      if (names.length === 3) break;
    }
    expect(names).toEqual(["1", "2", "3"]);
  }
});

test("a watch that waits ends when it is stopped", async () => {
  const feed = new ChangeFeed();
  const stop = new AbortController();
  const changes = feed.subscribe(stop.signal)[Symbol.asyncIterator]();
  const next = changes.next();
  stop.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});

test("a watch that reads too slowly ends with an error, instead of growing", async () => {
  const feed = new ChangeFeed();
  const changes = feed.subscribe(new AbortController().signal);
  for (let i = 0; i < 10_000; i++) feed.publish(change(`${i}`));
  await expect(changes[Symbol.asyncIterator]().next()).rejects.toThrow(/fell behind/);
});
