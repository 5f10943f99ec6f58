/** NBD's codec: what is written is read again, and no bytes whatever do more than be refused. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Agreed, ExportDirectory, NbdExport } from "../../../agent/disk/nbd/export.ts";
import { Handshake } from "../../../agent/disk/nbd/handshake.ts";
import { metaQueriesMax, optionBytesMax, requestBytesMax, stringBytesMax } from "../../../agent/disk/nbd/limits.ts";
import { decodeInfoRequest, decodeMetaRequest, encodeOptionError } from "../../../agent/disk/nbd/option-codec.ts";
import { command, NbdProtocolError, option, optionReply, requestBytes } from "../../../agent/disk/nbd/protocol.ts";
import {
  decodeRequest,
  encodeErrorChunk,
  encodeRequest,
  type NbdRequest,
  writeDataChunk,
  writeSimpleReply,
} from "../../../agent/disk/nbd/request-codec.ts";
import { RequestReader } from "../../../agent/disk/nbd/request-reader.ts";
import { infoData, metaData, optionBytes } from "../../fixtures/nbd-client.ts";

const uint16 = fc.nat(0xffff);
const uint32 = fc.nat(0xffff_ffff);
const requests: fc.Arbitrary<NbdRequest> = fc.record({
  flags: uint16,
  type: uint16,
  cookieHigh: uint32,
  cookieLow: uint32,
  offset: fc.maxSafeNat(),
  length: uint32,
});
/** A stream cut into pieces anywhere. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...chunks, bytes.subarray(at)];
}

test("a request that is written is read again", () => {
  fc.assert(
    fc.property(requests, uint16, (request, ahead) => {
      const bytes = Buffer.concat([Buffer.alloc(ahead % 64), encodeRequest(request)]);
      expect(decodeRequest(bytes, ahead % 64)).toEqual(request);
    }),
  );
});

test("requests are the same however the stream is cut, and the data of writes is passed over", () => {
  const small = requests.map((request) => ({ ...request, type: request.type % 9, length: request.length % 3_000 }));
  fc.assert(
    fc.property(fc.array(small, { maxLength: 20 }), fc.array(fc.nat(2_000), { maxLength: 30 }), (sent, sizes) => {
      const stream = sent.flatMap((request) => {
        const data = request.type === command.write ? [Buffer.alloc(request.length, 0x25)] : [];
        return [encodeRequest(request), ...data];
      });
      const reader = new RequestReader();
      const seen: NbdRequest[] = [];
      for (const chunk of cut(Buffer.concat(stream), sizes)) reader.read(chunk, (request) => seen.push(request) > 0);
      expect(seen).toEqual(sent);
    }),
  );
});

test("a stream of anything is read as requests or refused, and leaves nothing behind", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
      const reader = new RequestReader();
      try {
        for (const chunk of chunks) reader.read(Buffer.from(chunk), () => true);
      } catch (error) {
        expect(error).toBeInstanceOf(NbdProtocolError);
      }
    }),
  );
});

test("a write that is larger than anybody may send ends the connection", () => {
  const request = {
    flags: 0,
    type: command.write,
    cookieHigh: 0,
    cookieLow: 1,
    offset: 0,
    length: requestBytesMax + 1,
  };
  expect(() => new RequestReader().read(encodeRequest(request), () => true)).toThrow(/a write of 33554433 bytes/);
});

test("replies carry the request's cookie and the disk's offset", () => {
  fc.assert(
    fc.property(requests, uint32, (request, error) => {
      const simple = Buffer.alloc(16);
      expect(writeSimpleReply(simple, 0, request, error)).toBe(16);
      expect([simple.readUInt32BE(4), simple.readUInt32BE(8), simple.readUInt32BE(12)]).toEqual([
        error,
        request.cookieHigh,
        request.cookieLow,
      ]);
      const data = Buffer.alloc(28);
      expect(writeDataChunk(data, 0, request, request.offset, 1_000, true)).toBe(28);
      expect(data.readUInt32BE(16)).toBe(1_008);
      expect(Number(data.readBigUInt64BE(20))).toBe(request.offset);
      const failed = encodeErrorChunk(request, error, "why", true, request.offset);
      expect(failed.length).toBe(20 + failed.readUInt32BE(16));
      expect(failed.readUInt32BE(20)).toBe(error);
    }),
  );
});

test("an option's data that is written is read again", () => {
  const names = fc.string({ unit: "grapheme", maxLength: 30 });
  fc.assert(
    fc.property(
      names,
      fc.array(uint16, { maxLength: 20 }),
      fc.array(names, { maxLength: 20 }),
      (name, wanted, queries) => {
        expect(decodeInfoRequest(infoData(name, wanted))).toEqual({ name, wanted: new Set(wanted) });
        expect(decodeMetaRequest(metaData(name, queries))).toEqual({ name, queries });
      },
    ),
  );
});

test("an option's data of anything is read or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const info = decodeInfoRequest(Buffer.from(bytes));
      if (info) expect(info.name.length).toBeLessThanOrEqual(bytes.length);
      const meta = decodeMetaRequest(Buffer.from(bytes));
      if (meta) expect(meta.queries.length).toBeLessThanOrEqual(bytes.length / 4);
    }),
  );
});

test("strings and queries beyond their bounds are refused", () => {
  expect(decodeInfoRequest(infoData("x".repeat(stringBytesMax)))).toBeDefined();
  expect(decodeInfoRequest(infoData("x".repeat(stringBytesMax + 1)))).toBeUndefined();
  expect(decodeMetaRequest(metaData("", Array(metaQueriesMax).fill("")))).toBeDefined();
  expect(decodeMetaRequest(metaData("", Array(metaQueriesMax + 1).fill("")))).toBeUndefined();
  expect(encodeOptionError(option.go, optionReply.unknown, "x".repeat(10_000)).length).toBe(20 + stringBytesMax);
});

const none: ExportDirectory = { find: () => undefined, names: () => [] };

/** A handshake that keeps what it sends and where it ended. */
function handshake(directory: ExportDirectory = none, tls: "none" | "required" = "none") {
  const sent: Buffer[] = [];
  const ends: string[] = [];
  const chosen: { chosen: NbdExport; agreed: Agreed; rest: Buffer }[] = [];
  const machine = new Handshake(directory, tls, {
    send: (bytes) => sent.push(bytes),
    startTls: () => ends.push("tls"),
    transmit: (found, agreed, rest) => chosen.push({ chosen: found, agreed, rest }),
    end: () => ends.push("end"),
  });
  sent.length = 0;
  const types = () => sent.map((reply) => reply.readUInt32BE(12));
  return { machine, sent, types, ends, chosen };
}

const flags = Buffer.from([0, 0, 0, 3]);

test("a handshake of anything ends in answers or a refusal, and keeps no more than an option", () => {
  const pieces = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.nat(20), fc.uint8Array({ maxLength: 100 })).map(([code, data]) => optionBytes(code, data)),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), fc.array(fc.nat(50), { maxLength: 20 }), (stream, sizes) => {
      const { machine, ends } = handshake();
      try {
        for (const chunk of cut(Buffer.concat([flags, ...stream]), sizes)) {
          if (ends.length === 0) machine.receive(chunk);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(NbdProtocolError);
      }
    }),
  );
});

test("an option beyond the bound, or a wrong magic, ends the handshake before its data is here", () => {
  const head = optionBytes(option.go).fill(0xff, 12, 16);
  expect(() => handshake().machine.receive(Buffer.concat([flags, head]))).toThrow(/too long/);
  const long = optionBytes(option.go, Buffer.alloc(optionBytesMax));
  expect(() => handshake().machine.receive(Buffer.concat([flags, long]))).not.toThrow();
  expect(() => handshake().machine.receive(Buffer.concat([flags, Buffer.alloc(16)]))).toThrow(/wrong magic/);
  expect(() => handshake().machine.receive(Buffer.from([0, 0, 1, 3]))).toThrow(/unknown handshake flags/);
});

test("a client that never comes to the point is cut off", () => {
  const { machine } = handshake();
  machine.receive(flags);
  for (let count = 0; count < 64; count += 1) machine.receive(optionBytes(option.list));
  expect(() => machine.receive(optionBytes(option.list))).toThrow(/more than 64 options/);
});

test("where TLS is required, nothing else is answered before it, and nothing may be sent ahead of it", () => {
  const { machine, types, ends } = handshake(none, "required");
  machine.receive(Buffer.concat([flags, optionBytes(option.list), optionBytes(option.go, infoData(""))]));
  machine.receive(optionBytes(option.structuredReply));
  expect(types()).toEqual([optionReply.tlsRequired, optionReply.tlsRequired, optionReply.tlsRequired]);
  machine.receive(optionBytes(option.startTls));
  expect(types().at(-1)).toBe(optionReply.ack);
  expect(ends).toEqual(["tls"]);
  const ahead = handshake(none, "required").machine;
  expect(() => ahead.receive(Buffer.concat([flags, optionBytes(option.startTls), Buffer.from("x")]))).toThrow(/ahead/);
  const old = handshake(none, "required").machine;
  expect(() => old.receive(Buffer.concat([flags, optionBytes(option.exportName)]))).toThrow(/before TLS/);
});

test("without a certificate, TLS is refused; unknown options and exports are refused and the handshake goes on", () => {
  const { machine, types } = handshake();
  machine.receive(Buffer.concat([flags, optionBytes(option.startTls), optionBytes(99)]));
  machine.receive(optionBytes(option.go, infoData("none")));
  machine.receive(optionBytes(option.setMetaContext, metaData("", ["base:allocation"])));
  const { policy, unsupported, unknown, invalid } = optionReply;
  expect(types()).toEqual([policy, unsupported, unknown, invalid]);
});

test("every request begins with its magic", () => {
  const bytes = Buffer.alloc(requestBytes);
  expect(() => decodeRequest(bytes, 0)).toThrow(/began with 0x0/);
});
