/** What a DHT node remembers of announcements, and of whom. */
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { packEndpoints } from "../../../swarm/compact-address.ts";
import { Announcements } from "../../../swarm/dht-announcements.ts";
import {
  announcementMaxAgeMs,
  announcementsMax,
  announcementsPerHostAndTorrentMax,
  announcementsPerHostMax,
} from "../../../swarm/limits.ts";

let nowMs: number;
let announcements: Announcements;

beforeEach(() => {
  nowMs = 1_000;
  announcements = new Announcements({ now: () => nowMs, random: () => 0.5 });
});

const peer = (host: string, port = 7_411) => Buffer.from(packEndpoints([{ host, port }], "ipv4"));
const hash = (number: number) => number.toString(16).padStart(40, "0");
const portsOf = (infohash: string) =>
  announcements
    .get(infohash, 1_000)
    .map((each) => Buffer.from(each).readUInt16BE(4))
    .toSorted((a, b) => a - b);

test("those who announced a torrent are told, as many as are asked for", () => {
  for (let number = 1; number <= 200; number++) announcements.add(hash(1), peer(`10.0.0.${number}`, number));
  announcements.add(hash(2), peer("10.0.0.1", 9));
  expect(portsOf(hash(1))).toEqual(Array.from({ length: 200 }, (_, number) => number + 1));
  const some = announcements.get(hash(1), 100).map((each) => Buffer.from(each).toString("hex"));
  expect(new Set(some).size).toBe(100);
  expect(portsOf(hash(2))).toEqual([9]);
  expect(announcements.get(hash(3), 100)).toEqual([]);
});

test("an announcement that is not repeated is forgotten, one that is repeated stays", () => {
  announcements.add(hash(1), peer("10.0.0.1", 1));
  announcements.add(hash(1), peer("10.0.0.2", 2));
  nowMs += announcementMaxAgeMs / 2;
  announcements.add(hash(1), peer("10.0.0.1", 1));
  nowMs += announcementMaxAgeMs / 2;
  expect(portsOf(hash(1))).toEqual([1]);
  nowMs += announcementMaxAgeMs / 2;
  expect(portsOf(hash(1))).toEqual([]);
  expect(announcements.count).toBe(0);
});

test("a host that announces itself at any number of ports has the last of them, and others keep theirs", () => {
  for (let number = 1; number <= 30; number++) announcements.add(hash(1), peer(`10.0.1.${number}`, number));
  for (let port = 10_000; port < 20_000; port++) announcements.add(hash(1), peer("10.0.0.1", port));
  const last = Array.from({ length: announcementsPerHostAndTorrentMax }, (_, number) => 19_999 - number).toReversed();
  expect(portsOf(hash(1))).toEqual([...Array.from({ length: 30 }, (_, number) => number + 1), ...last]);
});

test("a host that announces any number of torrents has the last of them", () => {
  for (let number = 0; number < announcementsPerHostMax + 10; number++) {
    announcements.add(hash(number), peer("10.0.0.1"));
  }
  expect(announcements.count).toBe(announcementsPerHostMax);
  expect([0, 9, 10, announcementsPerHostMax + 9].map((number) => portsOf(hash(number)).length)).toEqual([0, 0, 1, 1]);
});

test("where there is no more room, the host that has most gives way, and no other", () => {
  for (let number = 0; number < 100; number++) announcements.add(hash(1), peer(`10.0.1.${number}`, number + 1));
  const hosts = Math.ceil(announcementsMax / announcementsPerHostMax) + 2;
  for (let host = 0; host < hosts; host++) {
    for (let number = 0; number < announcementsPerHostMax; number++) {
      announcements.add(hash(100 + number), peer(`10.0.0.${host}`));
    }
  }
  expect(announcements.count).toBe(announcementsMax);
  announcements.add(hash(1), peer("10.0.2.1", 101));
  expect(announcements.count).toBe(announcementsMax);
  expect(portsOf(hash(1))).toEqual(Array.from({ length: 101 }, (_, number) => number + 1));
});

test("on loopback, where many nodes share a host, only the bound on all holds", () => {
  for (let port = 1; port <= 1_000; port++) announcements.add(hash(1), peer("127.0.0.1", port));
  expect(portsOf(hash(1))).toHaveLength(1_000);
});

test("whatever is announced and when, what is told is what was announced last and not too long ago", () => {
  const step = fc.record({
    torrent: fc.nat(3),
    host: fc.nat(4),
    port: fc.integer({ min: 1, max: 5 }),
    waitMs: fc.nat(60_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      announcements.destroy();
      const expected = new Map<string, number>();
      for (const { torrent, host, port, waitMs } of steps) {
        nowMs += waitMs * 5;
        announcements.add(hash(torrent), peer(`10.0.0.${host}`, port));
        expected.set(`${torrent} ${host} ${port}`, nowMs);
      }
      const told = [0, 1, 2, 3].flatMap((torrent) =>
        announcements
          .get(hash(torrent), 1_000)
          .map((each) => `${torrent} ${each[3]} ${Buffer.from(each).readUInt16BE(4)}`),
      );
      const fresh = [...expected].filter(([, atMs]) => nowMs - atMs < announcementMaxAgeMs).map(([key]) => key);
      expect(told.toSorted()).toEqual(fresh.toSorted());
      expect(announcements.count).toBe(fresh.length);
    }),
  );
});
