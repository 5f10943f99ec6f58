/** Streams of the peer wire protocol, right, half right and wrong, for fast-check. */
import bencode from "bencode";
import fc from "fast-check";
import {
  encodeBitfield,
  encodeExtended,
  encodePieceMessages,
  encodeSignal,
  keepAlive,
  type WireMessage,
} from "../../../swarm/wire.ts";
import { encodeBlockMessage, encodePieceHead } from "./wire-peer.ts";

const uint32 = fc.nat({ max: 0xffff_ffff });
/** Mostly what a small torrent may have, else anything. */
const number = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 64 }) }, fc.nat({ max: 200_000 }), uint32);
const block = fc.record({ index: number, begin: number, length: number });
const signals = ["choke", "unchoke", "interested", "notInterested", "haveAll", "haveNone"] as const;

const bencoded = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer(),
    fc.uint8Array({ maxLength: 60 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.record(
      {
        m: fc.dictionary(fc.constantFrom("ut_metadata", "ut_pex", "x"), fc.integer({ min: -1, max: 300 })),
        metadata_size: fc.integer(),
        msg_type: fc.integer({ min: -1, max: 4 }),
        piece: number,
        total_size: fc.integer(),
        added: fc.uint8Array({ maxLength: 2_000 }),
        "added.f": fc.uint8Array({ maxLength: 400 }),
        dropped: fc.uint8Array({ maxLength: 200 }),
        p: fc.integer(),
      },
      { requiredKeys: [] },
    ),
  ),
})).value;

const payload = fc.oneof(
  bencoded.map((value) => Buffer.from(bencode.encode(value as string))),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);

/** One message as it should be, by form if not by content. */
export const message: fc.Arbitrary<Buffer> = fc.oneof(
  fc.constant(keepAlive),
  fc.constantFrom(...signals).map((signal) => encodeSignal(signal as WireMessage["type"] & "choke")),
  fc.array(number, { minLength: 1, maxLength: 3 }).map((indices) => encodePieceMessages("have", indices)),
  fc.uint8Array({ maxLength: 300 }).map(encodeBitfield),
  fc
    .tuple(fc.constantFrom("request" as const, "cancel" as const, "reject" as const), block)
    .map(([type, fields]) => encodeBlockMessage(type, fields)),
  fc.tuple(fc.nat({ max: 3 }), payload).map(([id, bytes]) => encodeExtended(id, bytes)),
  fc
    .tuple(number, number, fc.uint8Array({ minLength: 1, maxLength: 500 }))
    .map(([index, begin, bytes]) => Buffer.concat([encodePieceHead({ index, begin, length: bytes.length }), bytes])),
);

/** A message's head that announces any length, and little after it. */
const announced: fc.Arbitrary<Buffer> = fc
  .tuple(uint32, fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 40 }))
  .map(([length, id, bytes]) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length, 0);
    head[4] = id;
    return Buffer.concat([head, bytes]);
  });

type Change = { at: number; drop: number; insert: Uint8Array };

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  drop: fc.nat({ max: 6 }),
  insert: fc.uint8Array({ maxLength: 6 }),
});

/** What may follow a handshake: messages, of which some are damaged, and noise. */
export const hostileStream: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .tuple(
      fc.array(fc.oneof({ weight: 8, arbitrary: message }, announced), { maxLength: 30 }),
      fc.array(change, { maxLength: 5 }),
    )
    .map(([messages, changes]) => changes.reduce(changed, Buffer.concat(messages))),
  fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
);

function changed(stream: Buffer, { at, drop, insert }: Change): Buffer {
  const place = Math.floor(at * stream.length);
  return Buffer.concat([stream.subarray(0, place), insert, stream.subarray(place + drop)]);
}

/** Lengths of the pieces in which a stream arrives, in turn. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 });

export function cutUp(stream: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, cut = 0; at < stream.length; cut++) {
    const length = lengths[cut % lengths.length] as number;
    chunks.push(stream.subarray(at, at + length));
    at += length;
  }
  return chunks;
}
