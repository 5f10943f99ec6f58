import { expect, test } from "vitest";
import type { CacheEntry } from "../../../agent/cache/image-cache.ts";
import { type ImageRecord, unusedRecord, type WantedRecord } from "../../../agent/cache/records.ts";
import { wantedFetches } from "../../../agent/fetch/wanted.ts";

const ahead: WantedRecord["ahead"] = { prefetchId: "", expectedUses: 1, bytesPerSecondMax: 0 };

function entry(
  name: string,
  wanted: Partial<WantedRecord> | null,
  facts: Partial<ImageRecord & CacheEntry["used"]> = {},
) {
  const asked = { name, priority: "ensure", requestedAt: "2026-01-01T00:00:00.000Z", ...wanted } as const;
  const record = { names: [name], wanted: wanted && asked, completedAt: null, damage: facts.damage } as ImageRecord;
  const used = { ...unusedRecord(new Date(0)), prefetched: facts.prefetched ?? false };
  return { record, used, complete: facts.completedAt != null } as CacheEntry;
}

const namesOf = (entries: CacheEntry[]) => wantedFetches(entries).map(({ wanted }) => wanted.name);

test("what had not ended is wanted still, in order of asking", () => {
  const entries = [
    entry("later", { requestedAt: "2026-01-03T00:00:00.000Z" }),
    entry("ready", {}, { completedAt: "2026-01-01T00:00:00.000Z" }),
    entry("earlier", { requestedAt: "2026-01-02T00:00:00.000Z" }),
    entry("ended", null),
  ];
  expect(namesOf(entries)).toEqual(["earlier", "later"]);
});

test("an image that was found damaged is wanted for its repair", () => {
  const found = wantedFetches([entry("sound", {}), entry("damaged", {}, { damage: "a piece does not match" })]);
  expect(found.map(({ unasked }) => unasked)).toEqual(["resumed", "repair"]);
});

test("what was to come ahead of need is ahead of it no more once somebody has asked for it", () => {
  const wanted = { priority: "prefetch", ahead } as const;
  const found = wantedFetches([entry("unused", wanted, { prefetched: true }), entry("used", wanted)]);
  expect(found.map(({ wanted: { priority, ahead: terms } }) => [priority, terms])).toEqual([
    ["prefetch", ahead],
    ["ensure", undefined],
  ]);
});
