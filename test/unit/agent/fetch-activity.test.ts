import { expect, test } from "vitest";
import { activityOf, type Doing } from "../../../agent/fetch/activity.ts";

const active: Doing = {
  state: "active",
  delay: "",
  waitingFor: "",
  transfer: "4 peers",
  hashedShare: 0,
  isBooting: false,
  isHeldBack: false,
  damage: undefined,
};

test("a queued fetch waits for its turn, unless it says for what else", () => {
  const queued = { ...active, state: "queued", transfer: undefined } as const;
  expect(activityOf(queued)).toBe("waiting for an active fetch to end");
  expect(activityOf({ ...queued, delay: "waiting for room on the disk" })).toBe("waiting for room on the disk");
});

test("an active fetch says what brings its bytes, once something does", () => {
  expect(activityOf({ ...active, transfer: undefined })).toBe("starting");
  expect(activityOf(active)).toBe("4 peers");
});

test("an active fetch that is slow on purpose says why: a boot before others' needs", () => {
  expect(activityOf({ ...active, isHeldBack: true })).toBe("4 peers; slowly, since others are asked for");
  expect(activityOf({ ...active, isHeldBack: true, isBooting: true })).toBe(
    "4 peers; slowly, while a VM boots from what is here",
  );
});

test("a fetch that looks at the whole image says how far it is, and never 100 % before its end", () => {
  expect(activityOf({ ...active, state: "verifying", hashedShare: 0.999 })).toBe(
    "checking the whole image's sha256 (99 %)",
  );
});

test("a repair says what was found wrong for as long as it goes on", () => {
  const repair = { ...active, damage: "2 pieces do not match" };
  expect(activityOf(repair)).toBe("repairing (2 pieces do not match): 4 peers");
  expect(activityOf({ ...repair, state: "paused" })).toBe("repairing (2 pieces do not match): waiting for the disk");
  expect(activityOf({ ...repair, state: "ready" })).toBe("ready");
});
