import { createHash, randomBytes } from "node:crypto";
import bencode from "bencode";
import fc from "fast-check";
import parseTorrent from "parse-torrent";
import { describe, expect, test } from "vitest";
import { chooseUnchoked, type Served } from "../../../swarm/choker.ts";
import { infoBytesMax, strikeOffMs } from "../../../swarm/limits.ts";
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
    ...{ peer, isNear: true, interested: true, unchoked: false, changedAtMs: 0, bytesPerSecond: 0 },
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

  test("who lost interest keeps a slot that nobody needs, and no other", () => {
    const peers = [served("was", { interested: false, unchoked: true }), served("is", {})];
    expect(chooseUnchoked(peers, 2, false)).toEqual(new Set(["was", "is"]));
    expect(chooseUnchoked(peers, 1, false)).toEqual(new Set(["is"]));
  });

  test("never more than the slots", () => {
    const peer = fc.record({
      ...{ peer: fc.uuid(), isNear: fc.boolean() },
      ...{ interested: fc.boolean(), unchoked: fc.boolean(), changedAtMs: fc.nat(), bytesPerSecond: fc.nat() },
    });
    fc.assert(
      fc.property(fc.array(peer), fc.nat({ max: 20 }), fc.boolean(), (peers, slots, rotate) => {
        const chosen = chooseUnchoked(peers, slots, rotate);
        expect(chosen.size).toBeLessThanOrEqual(slots);
        const wanted = peers.filter(({ interested }) => interested);
        const served = wanted.filter(({ peer }) => chosen.has(peer));
        expect(served.length).toBe(Math.min(wanted.length, slots));
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
  const hostOf = (number: number) => `10.1.${number >> 8}.${number & 255}`;
  /** A book as full as it gets, of addresses that nobody has tried. */
  const fullBook = () => {
    const book = new PeerBook(() => 0);
    for (let number = 0; number < 3_000; number++) book.add({ host: hostOf(number), port: 1 }, 0);
    return book;
  };

  test("names an address once until its connection ends, then after growing waits", () => {
    const book = new PeerBook(() => 0);
    expect([book.add(peer, 0), book.add(peer, 0)]).toEqual([true, false]);
    expect([book.next(0), book.next(0)]).toEqual([peer, undefined]);
    book.ended(peer, 0);
    expect([book.next(999), book.next(1_000)]).toEqual([undefined, peer]);
    book.ended(peer, 1_000);
    expect([book.next(2_999), book.next(3_000)]).toEqual([undefined, peer]);
  });

  test("waits grow to ten seconds and no further; what was given is never forgotten, what was not is", () => {
    const [given, heard] = [new PeerBook(() => 0), new PeerBook(() => 0)];
    given.add(peer, 0, { isGiven: true });
    heard.add(peer, 0);
    for (let nowMs = 0; nowMs < 200_000; nowMs += 10_000) {
      expect(given.next(nowMs)).toEqual(peer);
      given.ended(peer, nowMs);
      if (heard.next(nowMs)) heard.ended(peer, nowMs);
    }
    expect([given.next(199_999), given.next(200_000)]).toEqual([undefined, peer]);
    expect(heard.next(1e9)).toBeUndefined();
    expect(heard.add(peer, 1e9)).toBe(true);
  });

  test("an address named again while it waits is tried at once, once in five seconds", () => {
    const book = new PeerBook(() => 0);
    book.add(peer, 0);
    book.next(0);
    expect(book.add(peer, 0)).toBe(false);
    book.ended(peer, 0, 60_000);
    expect([book.add(peer, 10), book.next(10)]).toEqual([true, peer]);
    book.ended(peer, 10, 60_000);
    expect([book.add(peer, 5_009), book.next(5_009)]).toEqual([false, undefined]);
    expect([book.add(peer, 5_010), book.next(5_010)]).toEqual([true, peer]);
  });

  test("an address for which there was no place waits a second, and has not failed", () => {
    const book = new PeerBook(() => 0);
    book.add(peer, 0);
    for (let nowMs = 0; nowMs < 100_000; nowMs += 1_000) {
      expect(book.next(nowMs)).toEqual(peer);
      book.postponed(peer, nowMs);
    }
  });

  test("a peer that was struck off is forgotten or, if it was given, waits as long", () => {
    const book = new PeerBook(() => 0);
    const given = { host: "127.0.0.1", port: 2 };
    book.add(peer, 0);
    book.add(given, 0, { isGiven: true });
    for (const each of [peer, given]) book.struckOff(each, 0, 3_600_000);
    expect([book.next(3_599_999), book.next(3_600_000), book.next(3_600_000)]).toEqual([undefined, given, undefined]);
  });

  test.each([
    { host: "127.0.0.1", port: 0 },
    { host: "127.0.0.1", port: 65_536 },
    { host: "127.0.0.1", port: 1.5 },
    { host: "127.0.0.1", port: Number.NaN },
    { host: "0.0.0.0", port: 1 },
    { host: "", port: 1 },
    { host: "0.1.2.3", port: 1 },
    { host: "224.0.0.1", port: 1 },
    { host: "255.255.255.255", port: 1 },
    { host: "ff02::1", port: 1 },
  ])("refuses %o, where no peer can be", (endpoint) => {
    expect(new PeerBook(() => 0).add(endpoint, 0)).toBe(false);
  });

  test("holds no more than it may; what failed gives way to what is new, what is in use or given does not", () => {
    const book = fullBook();
    expect(book.seen).toBe(2_000);
    const newcomer = { host: "10.2.0.1", port: 1 };
    expect(book.add(newcomer, 0)).toBe(false);
    const tried = book.next(0)!;
    expect(book.add(newcomer, 0)).toBe(false);
    book.ended(tried, 0);
    expect(book.add(newcomer, 0)).toBe(true);
    expect(book.add(tried, 0)).toBe(false);
  });

  test("a newcomer is tried soon, however many wait before it", () => {
    const book = fullBook();
    book.ended(book.next(0)!, 0);
    const newcomer = { host: "10.2.0.1", port: 1 };
    book.add(newcomer, 0);
    expect([book.next(0), book.next(0)]).toContainEqual(newcomer);
  });

  test("what was given is tried before what was heard of", () => {
    const book = new PeerBook(() => 0);
    for (let number = 0; number < 100; number++) book.add({ host: hostOf(number), port: 1 }, 0);
    book.add(peer, 0, { isGiven: true });
    expect(book.next(0)).toEqual(peer);
  });

  describe("hearsay", () => {
    const hearsay = { isHearsay: true };

    test("fills no more than half of the book, and gives way to what is surer", () => {
      const book = new PeerBook(() => 0);
      for (let number = 0; number < 3_000; number++) book.add({ host: hostOf(number), port: 1 }, 0, hearsay);
      expect(book.seen).toBe(1_000);
      for (let number = 3_000; number < 5_000; number++) {
        expect(book.add({ host: hostOf(number), port: 1 }, 0)).toBe(true);
      }
      expect(book.add({ host: hostOf(5_000), port: 1 }, 0)).toBe(false);
      expect(book.add({ host: hostOf(5_001), port: 1 }, 0, hearsay)).toBe(false);
    });

    test("is forgotten after two attempts, and does not hasten one that waits", () => {
      const book = new PeerBook(() => 0);
      book.add(peer, 0, hearsay);
      book.ended(book.next(0)!, 0);
      expect(book.add(peer, 10, hearsay)).toBe(false);
      expect([book.next(999), book.next(1_000)]).toEqual([undefined, peer]);
      book.ended(peer, 1_000);
      expect(book.next(1e9)).toBeUndefined();
    });

    test("that proves true, or is named by others, is like any other address", () => {
      const [proven, named] = [new PeerBook(() => 0), new PeerBook(() => 0)];
      for (const book of [proven, named]) book.add(peer, 0, hearsay);
      proven.connected(peer, 0);
      proven.ended(peer, 0);
      named.add(peer, 0);
      for (let nowMs = 10_000; nowMs < 60_000; nowMs += 10_000) {
        for (const book of [proven, named]) {
          expect(book.next(nowMs)).toEqual(peer);
          book.ended(peer, nowMs);
        }
      }
    });

    test("takes turns with what is surer, however much there is of it", () => {
      const book = new PeerBook(() => 0);
      for (let number = 0; number < 100; number++) book.add({ host: hostOf(number), port: 1 }, 0, hearsay);
      const sure = Array.from({ length: 4 }, (_, number) => ({ host: `10.9.0.${number}`, port: 1 }));
      for (const endpoint of sure) book.add(endpoint, 0);
      const tried = Array.from({ length: 8 }, () => book.next(0));
      for (const endpoint of sure) expect(tried).toContainEqual(endpoint);
    });
  });

  test("what is near is tried before what is not, three times of four", () => {
    const book = new PeerBook(() => 0);
    for (let number = 0; number < 100; number++) {
      book.add({ host: hostOf(number), port: 1 }, 0, { isHearsay: true, isNear: number >= 40 && number < 60 });
    }
    const near = Array.from({ length: 8 }, () => book.next(0)!).filter(({ host }) => /^10.1.0.[45]/.test(host));
    expect(near).toHaveLength(6);
  });

  test("one host has no more than sixteen addresses, of which one that failed gives way; loopback may have many", () => {
    const book = new PeerBook(() => 0);
    for (let port = 1; port <= 100; port++) book.add({ host: "10.0.0.1", port }, 0);
    expect(book.seen).toBe(16);
    const tried = book.next(0)!;
    book.ended(tried, 0);
    expect(book.add({ host: "10.0.0.1", port: 200 }, 0)).toBe(true);
    expect(book.add({ host: "10.0.0.1", port: 201 }, 0)).toBe(false);
    for (let port = 1; port <= 100; port++) expect(book.add({ host: "127.0.0.1", port }, 0)).toBe(true);
  });
});

describe("strikes", () => {
  test("what is forgiven a few times is counted by address over connections, and forgotten after a while", () => {
    const strikes = new Strikes();
    const peer = (id: string, host: string, port: number) => ({ id, address: { host, port } });
    expect(strikes.blame(peer("a", "10.0.0.1", 1), 0)).toBe(1);
    expect(strikes.blame(peer("b", "10.0.0.1", 2), 1)).toBe(2);
    expect(strikes.blame(peer("b", "10.0.0.2", 2), 1)).toBe(1);
    expect(strikes.blame(peer("a", "127.0.0.1", 1), 1)).toBe(1);
    expect(strikes.blame(peer("b", "127.0.0.1", 2), 1)).toBe(1);
    expect(strikes.blame(peer("a", "127.0.0.1", 3), 1)).toBe(2);
    expect(strikes.blame(peer("c", "10.0.0.1", 3), strikeOffMs)).toBe(3);
    expect(strikes.blame(peer("c", "10.0.0.1", 3), 3 * strikeOffMs)).toBe(1);
  });

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

  test("do not hit a peer elsewhere whose id the culprit has copied", () => {
    const strikes = new Strikes();
    strikes.strike({ id: "copied", address: { host: "10.0.0.1", port: 1 } }, 0);
    expect(strikes.isStruck({ id: "copied", address: { host: "10.0.0.2", port: 1 } }, 1)).toBe(false);
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
    const short = { ...(answer(1) as MetadataPart), bytes: Buffer.alloc(5) };
    expect(() => download.take(short)).toThrow(/does not fit/);
    expect(() => download.take({ ...(answer(0) as MetadataPart), part: 3 })).toThrow(/does not fit/);
    download.take(answer(1) as MetadataPart);
    expect(() => download.take(answer(2) as MetadataPart)).toThrow(/does not match/);
    for (const size of [0, -1, 1.5, infoBytesMax + 1])
      expect(() => new MetadataDownload(infohash, size)).toThrow(/between/);
  });

  test("may come without its total size, as from torrent-stream, if the handshake has told it", () => {
    const bytes = infoBytes.subarray(32_768);
    const payload = Buffer.concat([Buffer.from("d8:msg_typei1e5:piecei2ee"), bytes]);
    expect(metadataMessageFrom(payload, infoBytes.length)).toEqual({ ...answer(2), bytes: Buffer.from(bytes) });
    expect(() => metadataMessageFrom(payload)).toThrow(/total size/);
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

  test("a torrent of v2 alone, and one of several files, are refused in so many words", () => {
    const common = { name: "image.raw", "piece length": 16_384 };
    const v2 = { ...common, "meta version": 2, "file tree": {} };
    expect(() => torrentInfoFromInfoBytes(bencode.encode(v2))).toThrow(/v2 alone.*v1 or a hybrid is needed/);
    const several = { ...common, pieces: Buffer.alloc(20), files: [] };
    expect(() => torrentInfoFromInfoBytes(bencode.encode(several))).toThrow("torrents of several files are not images");
  });

  test("random bytes never do worse than an Error", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (noise) => void expect(() => torrentInfoFromInfoBytes(noise)).toThrow(Error)),
    );
  });

  test.each([
    [1, 32 * 1024],
    [2 ** 27 + 1, 64 * 1024],
    [2 ** 29, 128 * 1024],
    [2 ** 31, 128 * 1024],
    [2 ** 31 + 1, 256 * 1024],
    [5e9, 512 * 1024],
    [2 ** 36, 4 * 1024 * 1024],
    [1e12, 4 * 1024 * 1024],
    [undefined, 1024 * 1024],
  ])("%s bytes go in pieces of %i", (bytes, length) => {
    expect(pieceLengthFor(bytes)).toBe(length);
  });
});
