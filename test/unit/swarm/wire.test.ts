import fc from "fast-check";
import { expect, test } from "vitest";
import { blockBytesMax, controlMessageBytesMax } from "../../../swarm/limits.ts";
import {
  encodeBitfield,
  encodeExtended,
  encodeHandshake,
  encodePieceMessages,
  encodeSignal,
  type Handshake,
  keepAlive,
  WireDecoder,
  WireError,
  type WireMessage,
} from "../../../swarm/wire.ts";
import { encodeBlockMessage, encodePieceHead } from "./wire-peer.ts";

interface Received {
  handshakes: Handshake[];
  messages: WireMessage[];
  blocks: { index: number; begin: number; bytes: Buffer }[];
}

function decoder(options: { bitfieldBytesMax?: number } = {}): { decoder: WireDecoder; received: Received } {
  const received: Received = { handshakes: [], messages: [], blocks: [] };
  let target = Buffer.alloc(0);
  const wire = new WireDecoder(
    {
      onHandshake: (handshake) => received.handshakes.push(handshake),
      onMessage: (message) => received.messages.push(message),
      onBlockStart: (_index, _begin, length) => {
        target = Buffer.alloc(length);
        return target;
      },
      onBlockEnd: (index, begin, _length, kept) => kept && received.blocks.push({ index, begin, bytes: target }),
    },
    { bitfieldBytesMax: options.bitfieldBytesMax ?? 1024 },
  );
  return { decoder: wire, received };
}

const infohash = "0123456789abcdef0123456789abcdef01234567";
const greeting = encodeHandshake(infohash, Buffer.alloc(20, 7));
const uint32 = fc.nat({ max: 0xffff_ffff });
const block = fc.record({ index: uint32, begin: uint32, length: uint32 });

/** A message and the bytes that should decode to it. */
const encoded: fc.Arbitrary<{ message: WireMessage | undefined; block?: Buffer; bytes: Buffer }> = fc.oneof(
  fc.constant({ message: { type: "keepAlive" as const }, bytes: keepAlive }),
  fc
    .constantFrom("choke", "unchoke", "interested", "notInterested", "haveAll", "haveNone")
    .map((type) => ({ message: { type } as WireMessage, bytes: encodeSignal(type as "choke") })),
  uint32.map((index) => ({ message: { type: "have" as const, index }, bytes: encodePieceMessages("have", [index]) })),
  fc
    .uint8Array({ maxLength: 64 })
    .map((bytes) => ({ message: { type: "bitfield" as const, bytes }, bytes: encodeBitfield(bytes) })),
  fc
    .tuple(fc.constantFrom("request" as const, "cancel" as const, "reject" as const), block)
    .map(([type, fields]) => ({ message: { type, ...fields }, bytes: encodeBlockMessage(type, fields) })),
  fc.tuple(fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 100 })).map(([id, payload]) => ({
    message: { type: "extended" as const, id, payload },
    bytes: encodeExtended(id, payload),
  })),
  fc.tuple(uint32, uint32, fc.uint8Array({ minLength: 1, maxLength: 500 })).map(([index, begin, payload]) => ({
    message: undefined,
    block: Buffer.from(payload),
    bytes: Buffer.concat([encodePieceHead({ index, begin, length: payload.length }), payload]),
  })),
);

test("any sequence of messages, cut anywhere, decodes to what was encoded", () => {
  fc.assert(
    fc.property(
      fc.array(encoded, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (all, cuts) => {
        const { decoder: wire, received } = decoder();
        const stream = Buffer.concat([greeting, ...all.map(({ bytes }) => bytes)]);
        for (let at = 0, cut = 0; at < stream.length; cut++) {
          const length = cuts[cut % cuts.length] as number;
          wire.push(stream.subarray(at, at + length));
          at += length;
        }
        expect(received.handshakes).toMatchObject([{ infohash, fast: true, extended: true }]);
        const plain = received.messages.map((message) => JSON.stringify(message));
        expect(plain).toEqual(all.flatMap(({ message }) => (message ? [JSON.stringify(message)] : [])));
        expect(received.blocks.map(({ bytes }) => bytes)).toEqual(
          all.flatMap(({ block: bytes }) => (bytes ? [bytes] : [])),
        );
      },
    ),
  );
});

test("random bytes after a handshake never do worse than a WireError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (noise) => {
      const { decoder: wire } = decoder();
      wire.push(greeting);
      try {
        wire.push(Buffer.from(noise));
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
  );
});

test("a stranger is turned away at its first wrong byte", () => {
  const { decoder: wire } = decoder();
  expect(() => wire.push(Buffer.from("GET / HTTP/1.1\r\n"))).toThrow(/no BitTorrent handshake/);
});

test.each([
  ["a control message", 20, controlMessageBytesMax + 2],
  ["a bitfield", 5, 1_026],
  ["a block", 7, blockBytesMax + 10],
  ["anything", 99, 0xffff_ffff],
])("%s longer than its bound is refused by its length alone", (_name, id, length) => {
  const { decoder: wire } = decoder();
  wire.push(greeting);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 0);
  head[4] = id;
  expect(() => wire.push(head)).toThrow(WireError);
});

test("a block whose place is taken away while it arrives is read to its end and not kept", () => {
  const { decoder: wire, received } = decoder();
  const bytes = Buffer.concat([encodePieceHead({ index: 1, begin: 0, length: 100 }), Buffer.alloc(100, 5)]);
  wire.push(greeting);
  wire.push(bytes.subarray(0, 50));
  wire.dropArriving();
  wire.push(Buffer.concat([bytes.subarray(50), encodePieceMessages("have", [3])]));
  expect(received.blocks).toEqual([]);
  expect(received.messages).toEqual([{ type: "have", index: 3 }]);
});
