import { createHash, randomBytes } from "node:crypto";
import bencode from "bencode";
import fc from "fast-check";
import parseTorrent from "parse-torrent";
import { describe, expect, test } from "vitest";
import { chooseUnchoked, type Served } from "../../../swarm/choker.ts";
import { infoBytesMax } from "../../../swarm/limits.ts";
import {
  answerMetadataRequest,
  encodeMetadataMessage,
  MetadataDownload,
  type MetadataPart,
  metadataMessageFrom,
} from "../../../swarm/metadata.ts";
import {
  infoBytesOf,
  magnetUriOf,
  metainfoOf,
  pieceLengthFor,
  torrentInfoFromInfoBytes,
} from "../../../swarm/metainfo.ts";
import { PeerBook } from "../../../swarm/peer-book.ts";
import { RateLimit, RateMeter } from "../../../swarm/rate.ts";
import { Strikes } from "../../../swarm/strikes.ts";

describe("whom to serve", () => {
  const served = (peer: string, fields: Partial<Served<string>> = {}): Served<string> => ({
    ...{ peer, interested: true, unchoked: false, changedAtMs: 0, bytesPerSecond: 0 },
    ...fields,
  });

  test("everyone interested, while there are slots", () => {
    const peers = [served("a"), served("b", { interested: false }), served("c", { unchoked: true })];
    expect(chooseUnchoked(peers, 2, true)).toEqual(new Set(["a", "c"]));
  });

  test("beyond that the fastest half stays, and those who waited longest come in", () => {
    const peers = [
      served("fast", { unchoked: true, bytesPerSecond: 100, changedAtMs: 10 }),
      served("slow", { unchoked: true, bytesPerSecond: 1, changedAtMs: 10 }),
      served("waits long", { changedAtMs: 1 }),
      served("waits", { changedAtMs: 5 }),
    ];
    expect(chooseUnchoked(peers, 2, true)).toEqual(new Set(["fast", "waits long"]));
  });

  test("between rotations nobody who is served loses a slot", () => {
    const peers = [
      served("served", { unchoked: true, bytesPerSecond: 0, changedAtMs: 10 }),
      served("waits", { changedAtMs: 1 }),
      served("waits too", { changedAtMs: 2 }),
    ];
    expect(chooseUnchoked(peers, 2, false)).toEqual(new Set(["served", "waits"]));
  });

  test("never more than the slots", () => {
    const peer = fc.record({
      peer: fc.uuid(),
      ...{ interested: fc.boolean(), unchoked: fc.boolean(), changedAtMs: fc.nat(), bytesPerSecond: fc.nat() },
    });
    fc.assert(
      fc.property(fc.array(peer), fc.nat({ max: 20 }), fc.boolean(), (peers, slots, rotate) => {
        const wanted = peers.filter(({ interested }) => interested).length;
        expect(chooseUnchoked(peers, slots, rotate).size).toBe(Math.min(wanted, slots));
      }),
    );
  });
});

describe("rates", () => {
  test("a meter tells what came in the last seconds, and forgets", () => {
    const meter = new RateMeter(0);
    for (let ms = 0; ms < 4_000; ms += 100) meter.add(1_000, ms);
    expect(meter.bytesPerSecond(4_000)).toBeGreaterThan(8_000);
    expect(meter.bytesPerSecond(4_000)).toBeLessThan(12_000);
    expect(meter.bytesPerSecond(10_000)).toBe(0);
    expect(meter.total).toBe(40_000);
  });

  test("a limit lets a burst through, then makes the debt wait", () => {
    const limit = new RateLimit(1_000_000, 0);
    expect(limit.waitMs(0)).toBe(0);
    limit.take(300_000, 0);
    expect(limit.waitMs(0)).toBeGreaterThanOrEqual(200);
    expect(limit.waitMs(0)).toBeLessThan(210);
    expect(limit.waitMs(250)).toBe(0);
  });

  test("no limit never waits", () => {
    const limit = new RateLimit(0, 0);
    limit.take(1e12, 0);
    expect(limit.waitMs(0)).toBe(0);
  });
});

describe("the book of peers", () => {
  const peer = { host: "127.0.0.1", port: 1 };

  test("names an address once until its connection ends, then after growing waits", () => {
    const book = new PeerBook(() => 0);
    expect([book.add(peer), book.add(peer)]).toEqual([true, false]);
    expect([book.next(0), book.next(0)]).toEqual([peer, undefined]);
    book.ended(peer, 0);
    expect([book.next(999), book.next(1_000)]).toEqual([undefined, peer]);
    book.ended(peer, 1_000);
    expect([book.next(2_999), book.next(3_000)]).toEqual([undefined, peer]);
  });

  test("refuses addresses that cannot be, and more than it can hold", () => {
    const book = new PeerBook(() => 0);
    expect(book.add({ host: "127.0.0.1", port: 0 })).toBe(false);
    expect(book.add({ host: "0.0.0.0", port: 1 })).toBe(false);
    for (let port = 1; port <= 3_000; port++) book.add({ host: "10.0.0.1", port });
    expect(book.seen).toBe(2_000);
  });
});

describe("strikes", () => {
  test("count by address, but by address and port where many share a loopback address", () => {
    const strikes = new Strikes();
    strikes.strike({ id: "x", address: { host: "10.0.0.1", port: 1 } }, 0);
    strikes.strike({ id: "y", address: { host: "127.0.0.1", port: 1 } }, 0);
    expect(strikes.isStruck({ address: { host: "10.0.0.1", port: 2 } }, 1)).toBe(true);
    expect(strikes.isStruck({ address: { host: "127.0.0.1", port: 1 } }, 1)).toBe(true);
    expect(strikes.isStruck({ address: { host: "127.0.0.1", port: 2 } }, 1)).toBe(false);
    expect(strikes.isStruck({ id: "y", address: { host: "127.0.0.1", port: 2 } }, 1)).toBe(true);
    expect(strikes.isStruck({ address: { host: "10.0.0.1", port: 1 } }, 2 * 3_600_000)).toBe(false);
  });
});

describe("metadata", () => {
  const infoBytes = randomBytes(40_000);
  const infohash = createHash("sha1").update(infoBytes).digest("hex");
  const answer = (part: number) => metadataMessageFrom(encodeMetadataMessage(answerMetadataRequest(infoBytes, part)));

  test("comes over in parts and is checked against the infohash", () => {
    const download = new MetadataDownload(infohash, infoBytes.length);
    const parts = download.nextRequests().map(({ part }) => part);
    expect(parts).toEqual([0, 1, 2]);
    const results = parts.map((part) => download.take(answer(part) as MetadataPart));
    expect(results.slice(0, 2)).toEqual([undefined, undefined]);
    expect(Buffer.from(results[2] as Uint8Array).equals(infoBytes)).toBe(true);
  });

  test("of another infohash, of impossible size or in parts that do not fit is refused", () => {
    const download = new MetadataDownload("0".repeat(40), infoBytes.length);
    download.take(answer(0) as MetadataPart);
    expect(() => download.take(answer(0) as MetadataPart)).toThrow(/does not fit/);
    download.take(answer(1) as MetadataPart);
    expect(() => download.take(answer(2) as MetadataPart)).toThrow(/does not match/);
    for (const size of [0, -1, 1.5, infoBytesMax + 1])
      expect(() => new MetadataDownload(infohash, size)).toThrow(/between/);
  });

  test("beyond its end, or not here yet, is rejected", () => {
    expect(answer(3)).toEqual({ type: "reject", part: 3 });
    expect(answerMetadataRequest(undefined, 0)).toEqual({ type: "reject", part: 0 });
  });

  test("random bytes never do worse than an Error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(() => metadataMessageFrom(noise)).toThrow(Error);
      }),
    );
  });
});

describe("metainfo", () => {
  const fields = {
    name: "debian-12",
    lengthBytes: 300_000,
    pieceLengthBytes: 262_144,
    pieceHashes: Buffer.alloc(40, 1),
  };
  const info = torrentInfoFromInfoBytes(infoBytesOf(fields));

  test("is read by parse-torrent as it was made", async () => {
    const read = await parseTorrent(metainfoOf(info));
    expect(read).toMatchObject({ infoHash: info.infohash, name: "debian-12", length: 300_000, pieceLength: 262_144 });
    const magnet = await parseTorrent(magnetUriOf(info, [{ host: "10.0.0.1", port: 7401 }]));
    expect(magnet).toMatchObject({ infoHash: info.infohash, dn: "debian-12", peerAddresses: ["10.0.0.1:7401"] });
  });

  test.each([
    ["several files", { files: [] }],
    ["no length", { length: "x" }],
    ["a negative length", { length: -1 }],
    ["a piece length of 1", { "piece length": 1 }],
    ["a piece length beyond bounds", { "piece length": 2 ** 31 }],
    ["hashes that do not fit", { pieces: Buffer.alloc(20) }],
    ["a name that is no string", { name: 5 }],
  ])("with %s is refused", (_name, change) => {
    const changed = { ...{ length: 300_000, name: "x", "piece length": 262_144, pieces: Buffer.alloc(40) }, ...change };
    expect(() => torrentInfoFromInfoBytes(bencode.encode(changed))).toThrow(Error);
  });

  test("random bytes never do worse than an Error", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (noise) => void expect(() => torrentInfoFromInfoBytes(noise)).toThrow(Error)),
    );
  });

  test.each([
    [1, 256 * 1024],
    [2 ** 30, 256 * 1024],
    [2 ** 30 + 1, 512 * 1024],
    [5e9, 2 * 1024 * 1024],
    [1e12, 4 * 1024 * 1024],
    [undefined, 1024 * 1024],
  ])("%s bytes go in pieces of %i", (bytes, length) => {
    expect(pieceLengthFor(bytes)).toBe(length);
  });
});
