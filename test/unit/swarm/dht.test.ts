import { createHash } from "node:crypto";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import bencode, { type Bencodable } from "bencode";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type BencodeDictionary, decodeBencode } from "../../../swarm/bencode.ts";
import { Dht } from "../../../swarm/dht.ts";
import { createDhtClient } from "../../../swarm/dht-client.ts";
import { dhtNodesPerHostMax, dhtQueriesPerLookupMax } from "../../../swarm/limits.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import type { Endpoint } from "../../../swarm/types.ts";

const id = Buffer.alloc(20, 7);
const infohash = "ab".repeat(20);

const clientOptions = { log: { debug() {}, info() {}, warn() {} }, clock: systemClock, random: Math.random };

/** Everything that our nodes sent and warned of; both are looked at after every test. */
let sentTo: string[];
let warnings: object[];
let nodes: Dht[];
let strangers: Stranger[];

beforeEach(() => {
  sentTo = [];
  warnings = [];
  nodes = [];
  strangers = [];
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  for (const stranger of strangers) stranger.socket.close();
  // Whatever a node is told or asked: it spoke to nobody outside this machine, and the library threw nothing.
  expect(new Set(sentTo).isSubsetOf(new Set(["127.0.0.1"]))).toBe(true);
  expect(warnings).toEqual([]);
});

type Node = Dht & { found: Endpoint[]; endpoint: Endpoint };

async function openNode(bootstrap: readonly Endpoint[] = []): Promise<Node> {
  const socket = createSocket("udp4");
  const send = socket.send.bind(socket) as (...sent: unknown[]) => void;
  socket.send = (...sent: unknown[]) => {
    sentTo.push(String(sent[4]));
    send(...sent);
  };
  const found: Endpoint[] = [];
  const node = await Dht.open({
    host: "127.0.0.1",
    port: 0,
    bootstrap,
    clock: systemClock,
    random: Math.random,
    log: { debug() {}, info() {}, warn: (fields) => void warnings.push(fields) },
    onPeer: (_infohash, peer) => void found.push(peer),
    onNode: () => {},
    socket,
  });
  nodes.push(node);
  return Object.assign(node, { found, endpoint: { host: "127.0.0.1", port: node.port } });
}

/** Somebody with a UDP socket, who can send what the library never would. */
class Stranger {
  readonly socket: Socket;
  /** What it does when a node asks it something: answers like any node, unless a test wants it otherwise. */
  onQuery: (transaction: Uint8Array, from: RemoteInfo) => void = (t, from) => void this.answer(t, from);
  readonly #answers = new Map<string, (message: BencodeDictionary, bytes: number) => void>();
  #queries = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (bytes, from) => {
      const message = decodeBencode(bytes) as BencodeDictionary;
      const transaction = message.t as Uint8Array;
      if (Buffer.from(message.y as Uint8Array).toString() === "q") this.onQuery(transaction, from);
      else this.#answers.get(Buffer.from(transaction).toString("hex"))?.(message, bytes.length);
    });
  }

  static async open(): Promise<Stranger> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    const stranger = new Stranger(socket);
    strangers.push(stranger);
    return stranger;
  }

  get endpoint(): Endpoint {
    return { host: "127.0.0.1", port: this.socket.address().port };
  }

  send(bytes: Uint8Array, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.send(bytes, port, "127.0.0.1", (error) => (error ? reject(error) : resolve()));
    });
  }

  answer(t: Uint8Array, from: RemoteInfo): Promise<void> {
    return this.send(bencode.encode({ t, y: "r", r: { id } }), from.port);
  }

  /** The answer's fields and length; it comes after everything sent before, as nothing overtakes on loopback. */
  async ask(port: number, q: string, given: { [key: string]: Bencodable } = {}) {
    const t = Buffer.alloc(4);
    t.writeUInt32BE(++this.#queries);
    const answer = new Promise<{ fields: BencodeDictionary; bytes: number }>((resolve) => {
      this.#answers.set(t.toString("hex"), (message, bytes) => {
        resolve({ fields: message.r as BencodeDictionary, bytes });
      });
    });
    await this.send(bencode.encode({ t, y: "q", q, a: { id, ...given } }), port);
    return answer;
  }
}

/** Sends all, in batches that the socket's buffer holds, and sees that the node answers after each. */
async function sendAll(datagrams: readonly Uint8Array[], node: Node): Promise<void> {
  const stranger = await Stranger.open();
  for (let at = 0; at < datagrams.length; at += 50) {
    await Promise.all(datagrams.slice(at, at + 50).map((bytes) => stranger.send(bytes, node.port)));
    const { fields } = await stranger.ask(node.port, "ping");
    expect(fields.id).toHaveLength(20);
  }
}

/** A node opened just now, which knows only this one, finds its peer, and this one the other's. */
async function findsPeers(known: Node): Promise<void> {
  const other = await openNode([known.endpoint]);
  const finds = (node: Node, ownPort: number, port: number) => {
    node.announce(infohash, ownPort);
    return node.found.some((peer) => peer.port === port);
  };
  const both = () => [finds(known, 1_111, 2_222), finds(other, 2_222, 1_111)];
  await expect.poll(both, { timeout: 10_000 }).toEqual([true, true]);
}

const query = (q: Bencodable, given: Bencodable, t: Bencodable = "aa") => bencode.encode({ t, y: "q", q, a: given });

const wrongValues: Bencodable[] = [
  0,
  1,
  -1,
  65_536,
  2 ** 40,
  "",
  "x",
  Buffer.alloc(20),
  Buffer.alloc(1_000),
  [],
  {},
  [id],
];

describe("a datagram", () => {
  test.each<[string, Uint8Array]>([
    ["nothing", Buffer.alloc(0)],
    ["a negative length", Buffer.from("l-3:")],
    ["a negative length in a dictionary", Buffer.from("d-4:i1ee")],
    ["lists nested without end", Buffer.alloc(60_000, "l")],
    ["a type whose toString is a number", Buffer.from("d1:yd8:toStringi1eee")],
    ["a query whose toString is a number", Buffer.from("d1:ade1:qd8:toStringi1ee1:t2:aa1:y1:qe")],
    ["a target that is a number", Buffer.from("d1:ad2:idi1e6:targeti1ee1:q9:find_node1:t2:aa1:y1:qe")],
    ["an infohash that is a number", Buffer.from("d1:ad2:idi1e9:info_hashi1ee1:q9:get_peers1:t2:aa1:y1:qe")],
    ["a target that is a number, with a good id", query("find_node", { id, target: 1 })],
    ["an infohash that is a list", query("get_peers", { id, info_hash: [1] })],
    ["an infohash that is short", query("get_peers", { id, info_hash: "short" })],
    ["a token that is a number", query("announce_peer", { id, info_hash: id, port: 1, token: 1 })],
    ["a get whose target is a number", query("get", { id, target: 1 })],
    ["a put whose token is a number", query("put", { id, token: 1, v: "x" })],
    ["a put whose salt is a number", query("put", { id, token: id, v: "x", k: "k", salt: 1, sig: "s" })],
    ["no transaction id", bencode.encode({ y: "q", q: "ping", a: { id } })],
    ["a transaction id that is a list", query("ping", { id }, [1])],
    ["a transaction id of 1 KiB", query("ping", { id }, Buffer.alloc(1_024))],
    ["arguments under __proto__", Buffer.from("d9:__proto__d1:y1:q1:q4:pinge1:t2:aae")],
    ["an answer to nothing", bencode.encode({ t: "aa", y: "r", r: { id: 5 } })],
    ["an error to nothing", bencode.encode({ t: "aa", y: "e", e: { join: 1 } })],
  ])("that is %s does a node no harm", async (_name, bytes) => {
    const node = await openNode();
    await sendAll([bytes], node);
    await findsPeers(node);
  });

  test("with any field of any type does a node no harm", async () => {
    const good: { [key: string]: Bencodable } = { id, target: id, info_hash: id, token: id, port: 1, implied_port: 0 };
    const extra: { [key: string]: Bencodable } = {
      v: "x",
      k: id,
      sig: id,
      salt: id,
      seq: 1,
      cas: 1,
      nodes: id,
      values: [],
    };
    const datagrams = ["ping", "find_node", "get_peers", "announce_peer", "get", "put", 1].flatMap((q) =>
      Object.keys({ ...good, ...extra }).flatMap((key) =>
        wrongValues.flatMap((wrong) => [
          query(q, { ...good, [key]: wrong }),
          query(q, { ...good, ...extra, [key]: wrong }),
        ]),
      ),
    );
    const node = await openNode();
    await sendAll(datagrams, node);
    await findsPeers(node);
  });

  test("of random or damaged bytes does a node no harm", async () => {
    const valid = [
      query("ping", { id }),
      query("find_node", { id, target: id }),
      query("get_peers", { id, info_hash: id }),
      query("announce_peer", { id, info_hash: id, token: id, port: 1 }),
      bencode.encode({ t: "aa", y: "r", r: { id, nodes: Buffer.alloc(26), token: id, values: [Buffer.alloc(6)] } }),
      bencode.encode({ t: "aa", y: "e", e: [201, "no"] }),
    ];
    const damaged = fc
      .tuple(fc.constantFrom(...valid), fc.nat(), fc.nat({ max: 8 }), fc.uint8Array({ maxLength: 8 }))
      .map(([bytes, at, drop, add]) => {
        const start = at % bytes.length;
        return Buffer.concat([bytes.subarray(0, start), add, bytes.subarray(start + drop)]);
      });
    const noise = fc.oneof(damaged, fc.uint8Array({ maxLength: 2_000 }));
    const node = await openNode();
    await sendAll(fc.sample(noise, { seed: 3, numRuns: 3_000 }), node);
    await findsPeers(node);
  });
});

test("answers of any shape, to what a node asked, do it no harm", async () => {
  const good: { [key: string]: Bencodable } = { id, nodes: Buffer.alloc(0), token: id, values: [] };
  const wrong = [...wrongValues, [1], [[1]], [{}]];
  const bodies: { [key: string]: Bencodable }[] = [
    { y: "r", r: { id: 5 } },
    ...Object.keys(good).flatMap((key) => wrong.map((value) => ({ y: "r", r: { ...good, [key]: value } }))),
    ...wrong.map((r) => ({ y: "r", r })),
    ...wrong.flatMap((e) => [
      { y: "e", e },
      { y: "e", e: [e, e] },
    ]),
  ];
  const liar = await Stranger.open();
  const node = await openNode();
  for (const body of bodies) {
    const answered = new Promise<void>((resolve) => {
      liar.onQuery = async (t, from) => {
        await liar.send(bencode.encode({ t, ...body }), from.port);
        // If that was dropped, the node waits; this ends it.
        await liar.answer(t, from);
        resolve();
      };
    });
    // Whoever asks is taken into the routing table, and then asked itself.
    await liar.ask(node.port, "ping");
    node.announce(infohash, 1_111);
    await answered;
  }
  liar.onQuery = (t, from) => void liar.answer(t, from);
  const { fields } = await liar.ask(node.port, "ping");
  expect(fields.id).toHaveLength(20);
  await findsPeers(node);
});

test("bootstrap nodes that nothing can be sent to do a node no harm", async () => {
  const node = await openNode([
    { host: "127.0.0.1", port: 0 },
    { host: "127.0.0.1", port: 70_000 },
    { host: "127.0.0.1", port: Number.NaN },
  ]);
  await findsPeers(node);
});

test("an answer fits a datagram, however many peers and nodes there are", async () => {
  const node = await openNode();
  const stranger = await Stranger.open();
  const { fields } = await stranger.ask(node.port, "get_peers", { info_hash: id });
  const token = fields.token as Uint8Array;
  for (let port = 1; port <= 500; port++) {
    await stranger.ask(node.port, "announce_peer", { info_hash: id, token, port });
  }
  for (let number = 0; number < 500; number++) {
    const other = Buffer.alloc(20, number);
    other.writeUInt16BE(number * 131, 0);
    await stranger.ask(node.port, "ping", { id: other });
  }
  const peers = await stranger.ask(node.port, "get_peers", { info_hash: id });
  expect(peers.fields.values).toHaveLength(100);
  const others = await stranger.ask(node.port, "find_node", { target: id });
  expect(node.nodeCount).toBeGreaterThan(20);
  expect(others.fields.nodes).toHaveLength(20 * 26);
  expect(Math.max(peers.bytes, others.bytes)).toBeLessThan(1_400);
});

test("an announcement with the port that it came from is taken", async () => {
  const node = await openNode();
  const stranger = await Stranger.open();
  const { fields } = await stranger.ask(node.port, "get_peers", { info_hash: id });
  const token = fields.token as Uint8Array;
  await stranger.ask(node.port, "announce_peer", { info_hash: id, token, implied_port: 1, port: 0 });
  const { values } = (await stranger.ask(node.port, "get_peers", { info_hash: id })).fields;
  expect(Buffer.from((values as Uint8Array[])[0]!).readUInt16BE(4)).toBe(stranger.endpoint.port);
});

test("a client that only looks up, as imports use it, finds what a node by that name knows", async () => {
  const node = await openNode();
  node.announce(infohash, 1_111);
  await expect.poll(() => node.found.length || node.announce(infohash, 1_111)).toBeGreaterThan(0);
  const client = createDhtClient({ bootstrap: [`localhost:${node.port}`] }, clientOptions);
  try {
    const found = once(client, "peer");
    client.once("ready", () => client.lookup(infohash));
    expect(await found).toMatchObject([{ host: "127.0.0.1", port: 1_111 }, expect.anything(), expect.anything()]);
  } finally {
    await new Promise<void>((resolve) => client.destroy(resolve));
  }
});

test("a look-up ends although everybody asked names nodes that are closer still", async () => {
  const strangers = await Promise.all(Array.from({ length: dhtQueriesPerLookupMax + 100 }, () => Stranger.open()));
  /** Twenty share one bit more with what is looked for than the twenty before them, which is what a bucket holds. */
  const idOf = (number: number) => {
    const close = Buffer.from(infohash, "hex");
    const bit = Math.floor(number / 20);
    close[bit >> 3]! ^= 0x80 >> (bit & 7);
    close[19]! ^= number % 20;
    return close;
  };
  const nodeOf = (number: number) => {
    const { port } = strangers[number]!.endpoint;
    return Buffer.concat([idOf(number), Buffer.from([127, 0, 0, 1, port >> 8, port & 255])]);
  };
  let asked = 0;
  strangers.forEach((stranger, number) => {
    stranger.onQuery = (t, from) => {
      asked++;
      const last = Math.min(number + 20, strangers.length - 1);
      const nodes = Array.from({ length: last - number }, (_, each) => nodeOf(number + 1 + each));
      const fields = { id: idOf(number), token: "token", nodes: Buffer.concat(nodes) };
      void stranger.send(bencode.encode({ t, y: "r", r: fields }), from.port);
    };
  });
  const client = createDhtClient({ bootstrap: [] }, clientOptions);
  try {
    await new Promise<void>((resolve) => client.listen(0, "127.0.0.1", resolve));
    await strangers[0]!.ask(client.address().port, "ping", { id: idOf(0) });
    await new Promise<void>((resolve) => client.lookup(infohash, () => resolve()));
    expect(asked).toBe(dhtQueriesPerLookupMax);
  } finally {
    await new Promise<void>((resolve) => client.destroy(resolve));
  }
});

test("a node is announced once at a time, however often that is asked for while nobody answers", async () => {
  const silent = await Stranger.open();
  const node = await openNode();
  let asked = 0;
  silent.onQuery = () => void asked++;
  await silent.ask(node.port, "ping");
  for (let count = 0; count < 100; count++) node.announce(infohash, 1_111);
  await expect.poll(() => asked).toBe(1);
  await silent.ask(node.port, "ping");
  expect(asked).toBe(1);
});

test("one host has few places in the routing table, the newest of its nodes, and those of others stay", async () => {
  const client = createDhtClient({ bootstrap: [] }, clientOptions);
  const idOf = (number: number) => createHash("sha1").update(String(number)).digest();
  const add = (host: string, port: number) => client.nodes.add({ id: idOf(port), host, port });
  try {
    for (let port = 1; port <= 10; port++) add(`10.0.0.${port}`, port);
    for (let port = 100; port < 1_000; port++) add("10.0.1.1", port);
    const ports = client.toJSON().nodes.map(({ port }) => port);
    expect(ports.filter((port) => port <= 10)).toHaveLength(10);
    const newest = Array.from({ length: dhtNodesPerHostMax }, (_, number) => 999 - number);
    expect(ports.filter((port) => port > 10).toSorted((a, b) => b - a)).toEqual(newest);
  } finally {
    await new Promise<void>((resolve) => client.destroy(resolve));
  }
});

test("a node that is added to the routing table again and again takes no host's places, and gives it no more of them", async () => {
  const client = createDhtClient({ bootstrap: [] }, clientOptions);
  const idOf = (number: number) => createHash("sha1").update(String(number)).digest();
  const add = (host: string, port: number) => client.nodes.add({ id: idOf(port), host, port });
  try {
    for (let count = 0; count < 2 * dhtNodesPerHostMax; count++) add("10.0.1.1", 1);
    expect(client.nodes.count()).toBe(1);
    for (let port = 100; port < 1_000; port++) add("10.0.1.1", port);
    expect(client.nodes.count()).toBe(dhtNodesPerHostMax);
  } finally {
    await new Promise<void>((resolve) => client.destroy(resolve));
  }
});

test("without a bootstrap node, a node sends nothing to anybody", async () => {
  const node = await openNode();
  // It finds itself once a look-up and an announcement are over.
  const findsItself = () => {
    node.announce(infohash, 1_111);
    return node.found.length > 0;
  };
  await expect.poll(findsItself).toBe(true);
  expect(sentTo).toEqual([]);
});
