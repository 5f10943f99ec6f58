import { describe, expect, test } from "vitest";
import { Booting } from "../../../agent/boot/booting.ts";

const MiB = 1024 * 1024;
const digest = "a".repeat(64);
const reads = (bootImageBytes: number, demandBytes = 0, fileBytes = 0) => ({ bootImageBytes, fileBytes, demandBytes });

describe("a VM boots", () => {
  test("from its first read of the boot image until it has read nothing for a while", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(0, MiB), 0);
    expect(booting.isBooting(digest, 0)).toBe(false);
    booting.note("vm", digest, reads(1, MiB), 1_000);
    booting.note("vm", digest, reads(MiB, MiB), 4_000);
    expect([booting.isBooting(digest, 24_000), booting.isBooting("b".repeat(64), 24_000)]).toEqual([true, false]);
    expect(booting.isBooting(digest, 24_001)).toBe(false);
  });

  test("from when its disk is attached where the boot image is here, for as long as it may take to be started", () => {
    const booting = new Booting();
    booting.begin("vm", digest, "boot image", 0);
    booting.note("vm", digest, reads(0), 1_000);
    expect([booting.isBooting(digest, 20_000), booting.isBooting(digest, 20_001)]).toEqual([true, false]);
    booting.note("vm", digest, reads(1, 5 * MiB), 300_000);
    expect([booting.isBooting(digest, 320_000), booting.isBooting(digest, 320_001)]).toEqual([true, false]);
  });

  test("once, however it goes on to read", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(1), 0);
    booting.note("vm", digest, reads(1), 21_000);
    booting.note("vm", digest, reads(2), 22_000);
    expect(booting.isBooting(digest, 22_000)).toBe(false);
  });

  test("for three minutes at most, and not while it waits for much that no boot image has", () => {
    const booting = new Booting();
    for (let nowMs = 0; nowMs <= 180_000; nowMs += 1_000) booting.note("long", digest, reads(1 + nowMs), nowMs);
    expect([booting.isBooting(digest, 180_000), booting.isBooting(digest, 180_001)]).toEqual([true, false]);
    booting.note("other", digest, reads(1, MiB), 270_000);
    booting.note("other", digest, reads(2, 5 * MiB), 271_000);
    expect(booting.isBooting(digest, 271_000)).toBe(true);
    booting.note("other", digest, reads(3, 5 * MiB + 1), 272_000);
    expect(booting.isBooting(digest, 272_000)).toBe(false);
  });

  test("once, also where what counts its reads begins anew", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(MiB), 0);
    booting.note("vm", digest, reads(MiB), 21_000);
    booting.note("vm", digest, reads(0), 22_000);
    booting.note("vm", digest, reads(1), 23_000);
    expect(booting.isBooting(digest, 23_000)).toBe(false);
  });

  test("but where one comes after the other, not for ever", () => {
    const booting = new Booting();
    const minutes: boolean[] = [];
    for (let minute = 0; minute < 15; minute++) {
      booting.begin(`vm-${minute}`, digest, "boot image", minute * 60_000);
      minutes.push(booting.isBooting(digest, minute * 60_000 + 10_000));
      booting.forget(`vm-${minute}`);
    }
    expect(minutes.lastIndexOf(true)).toBe(9);
    booting.begin("later", digest, "boot image", 3_600_000);
    expect(booting.isBooting(digest, 3_600_000)).toBe(true);
  });

  test("until its disk is detached", () => {
    const booting = new Booting();
    booting.note("vm", digest, reads(1), 0);
    booting.forget("vm");
    expect(booting.isBooting(digest, 0)).toBe(false);
  });

  test("from its image's pieces once those of its boot are here, whatever it had to wait for until then", () => {
    const booting = new Booting();
    booting.begin("vm", digest, "pieces", 0);
    booting.note("vm", digest, reads(0, 20 * MiB, MiB), 5_000);
    expect(booting.isBooting(digest, 5_000)).toBe(false);
    booting.piecesCame(digest);
    expect(booting.isBooting(digest, 5_000)).toBe(true);
    // Told late.
    booting.note("vm", digest, reads(0, 30 * MiB, MiB), 6_000);
    expect([booting.isBooting(digest, 26_000), booting.isBooting(digest, 26_001)]).toEqual([true, false]);
    booting.note("vm", digest, reads(0, 30 * MiB, 2 * MiB), 20_000);
    expect([booting.isBooting(digest, 40_000), booting.isBooting(digest, 40_001)]).toEqual([true, false]);
    booting.note("vm", digest, reads(0, 35 * MiB, 2 * MiB), 21_000);
    expect(booting.isBooting(digest, 21_000)).toBe(false);
  });

  test("from its image's pieces also where it is started later, and not where they are in doubt", () => {
    const booting = new Booting();
    booting.begin("vm", digest, "pieces", 0);
    booting.piecesCame(digest);
    expect([booting.isBooting(digest, 20_000), booting.isBooting(digest, 20_001)]).toEqual([true, false]);
    booting.note("vm", digest, reads(0, 0, 1), 300_000);
    expect(booting.isBooting(digest, 300_000)).toBe(true);
    booting.forgetPieces(digest);
    expect(booting.isBooting(digest, 300_000)).toBe(false);
  });

  test("from the boot image where that is here before the pieces", () => {
    const booting = new Booting();
    booting.begin("vm", digest, "pieces", 0);
    booting.note("vm", digest, reads(0, 20 * MiB), 1_000);
    booting.note("vm", digest, reads(1, 30 * MiB), 2_000);
    expect(booting.isBooting(digest, 2_000)).toBe(true);
    booting.note("vm", digest, reads(1, 35 * MiB), 3_000);
    expect(booting.isBooting(digest, 3_000)).toBe(false);
  });
});
