/**
 * Who announced to a DHT node that it is a peer of which torrent: what it tells to those who look for peers. Pure but for
 * the time and the randomness that it is given.
 *
 * Anybody may announce any infohash with any port, and a token only proves the address that it came from. So each host has
 * room of its own, and where all of it is used up the host that has most gives way.
 */
import {
  announcementMaxAgeMs,
  announcementsMax,
  announcementsPerHostAndTorrentMax,
  announcementsPerHostMax,
} from "./limits.ts";

interface Announcement {
  readonly infohash: string;
  readonly host: string;
  /** IPv4 address and port, six bytes, as answers have them. */
  readonly peer: Buffer;
  atMs: number;
  /** Where it is in its torrent's list. */
  place: number;
}

export interface AnnouncementsOptions {
  /** Milliseconds that never go back. */
  now: () => number;
  /** Uniform in [0, 1). */
  random: () => number;
}

export class Announcements {
  readonly #options: AnnouncementsOptions;
  // Each of them in the order of time, the oldest first.
  readonly #all = new Map<string, Announcement>();
  readonly #byHost = new Map<string, Set<Announcement>>();
  readonly #byHostAndTorrent = new Map<string, Set<Announcement>>();
  readonly #byTorrent = new Map<string, Announcement[]>();

  constructor(options: AnnouncementsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#all.size;
  }

  /** Notes an announcement, or that it was repeated; where there are too many, the oldest of some host goes. */
  add(infohash: string, peer: Uint8Array): void {
    const nowMs = this.#options.now();
    this.#forgetOld(nowMs);
    const repeated = this.#all.get(keyOf(infohash, peer));
    if (repeated) this.#remove(repeated);
    const host = hostOf(peer);
    if (!isLoopback(peer)) {
      dropOldest(this.#byHostAndTorrent.get(keyOf(infohash, host)), announcementsPerHostAndTorrentMax, this.#remove);
      dropOldest(this.#byHost.get(host), announcementsPerHostMax, this.#remove);
    }
    if (this.#all.size >= announcementsMax) dropOldest(this.#largestHost(), 1, this.#remove);
    this.#insert({ infohash, host, peer: Buffer.from(peer), atMs: nowMs, place: 0 });
  }

  /** Up to `countMax` peers of the torrent, at random. */
  get(infohash: string, countMax: number): Buffer[] {
    this.#forgetOld(this.#options.now());
    const list = this.#byTorrent.get(infohash) ?? [];
    const count = Math.min(countMax, list.length);
    for (let place = 0; place < count; place++) {
      const other = place + Math.floor(this.#options.random() * (list.length - place));
      const [one, two] = [list[place]!, list[other]!];
      put(list, place, two);
      put(list, other, one);
    }
    return list.slice(0, count).map(({ peer }) => peer);
  }

  /** Forgets all; the library calls it at its end. */
  destroy(): void {
    for (const map of [this.#all, this.#byHost, this.#byHostAndTorrent, this.#byTorrent]) map.clear();
  }

  #insert(announcement: Announcement): void {
    const { infohash, host, peer } = announcement;
    this.#all.set(keyOf(infohash, peer), announcement);
    groupOf(this.#byHost, host).add(announcement);
    groupOf(this.#byHostAndTorrent, keyOf(infohash, host)).add(announcement);
    const list = this.#byTorrent.get(infohash) ?? [];
    this.#byTorrent.set(infohash, list);
    put(list, list.length, announcement);
  }

  readonly #remove = (announcement: Announcement): void => {
    const { infohash, host, peer, place } = announcement;
    this.#all.delete(keyOf(infohash, peer));
    removeFrom(this.#byHost, host, announcement);
    removeFrom(this.#byHostAndTorrent, keyOf(infohash, host), announcement);
    const list = this.#byTorrent.get(infohash)!;
    const last = list.pop()!;
    if (last !== announcement) put(list, place, last);
    if (list.length === 0) this.#byTorrent.delete(infohash);
  };

  #forgetOld(nowMs: number): void {
    for (const announcement of this.#all.values()) {
      if (nowMs - announcement.atMs < announcementMaxAgeMs) return;
      this.#remove(announcement);
    }
  }

  #largestHost(): Set<Announcement> | undefined {
    let largest: Set<Announcement> | undefined;
    for (const group of this.#byHost.values()) if (group.size > (largest?.size ?? 0)) largest = group;
    return largest;
  }
}

function keyOf(infohash: string, peerOrHost: Uint8Array | string): string {
  return `${infohash} ${typeof peerOrHost === "string" ? peerOrHost : hex(peerOrHost)}`;
}

function hostOf(peer: Uint8Array): string {
  return hex(peer.subarray(0, 4));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** Behind a loopback address live many nodes: in tests, and on a machine that plays several. */
function isLoopback(peer: Uint8Array): boolean {
  return peer[0] === 127;
}

function put(list: Announcement[], place: number, announcement: Announcement): void {
  list[place] = announcement;
  announcement.place = place;
}

function groupOf(groups: Map<string, Set<Announcement>>, key: string): Set<Announcement> {
  const group = groups.get(key) ?? new Set();
  groups.set(key, group);
  return group;
}

function removeFrom(groups: Map<string, Set<Announcement>>, key: string, announcement: Announcement): void {
  const group = groups.get(key);
  group?.delete(announcement);
  if (group?.size === 0) groups.delete(key);
}

/** Makes room for one more where the group has `max` or more. */
function dropOldest(group: Set<Announcement> | undefined, max: number, remove: (one: Announcement) => void): void {
  if (!group || group.size < max) return;
  for (const oldest of group) {
    remove(oldest);
    return;
  }
}
