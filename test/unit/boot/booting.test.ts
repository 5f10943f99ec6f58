import { describe, expect, test } from "vitest";
import { Booting } from "../../../agent/boot/booting.ts";

const MiB = 1024 * 1024;
const digest = "a".repeat(64);
const reads = (bootImageBytes: number, demandBytes = 0) => ({ bootImageBytes, demandBytes });

describe("a VM boots", () => {
  test("from its first read of the boot image until it has read nothing for a while", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(0, MiB), 0);
    expect(booting.isBooting(digest, 0)).toBe(false);
    booting.note("vm", digest, reads(1, MiB), 1_000);
    booting.note("vm", digest, reads(MiB, MiB), 4_000);
    expect([booting.isBooting(digest, 9_000), booting.isBooting("b".repeat(64), 9_000)]).toEqual([true, false]);
    expect(booting.isBooting(digest, 9_001)).toBe(false);
  });

  test("once, however it goes on to read", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(1), 0);
    booting.note("vm", digest, reads(1), 6_000);
    booting.note("vm", digest, reads(2), 7_000);
    expect(booting.isBooting(digest, 7_000)).toBe(false);
  });

  test("for a minute at most, and not while it waits for much that no boot image has", () => {
    const booting = new Booting();
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 1_000) booting.note("long", digest, reads(1 + nowMs), nowMs);
    expect([booting.isBooting(digest, 60_000), booting.isBooting(digest, 60_001)]).toEqual([true, false]);
    booting.note("other", digest, reads(1, MiB), 70_000);
    booting.note("other", digest, reads(2, 5 * MiB), 71_000);
    expect(booting.isBooting(digest, 71_000)).toBe(true);
    booting.note("other", digest, reads(3, 5 * MiB + 1), 72_000);
    expect(booting.isBooting(digest, 72_000)).toBe(false);
  });

  test("until its disk is detached", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(1), 0);
    booting.forget("vm");
    expect(booting.isBooting(digest, 0)).toBe(false);
  });
});
