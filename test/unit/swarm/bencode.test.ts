import bencode, { type Bencodable } from "bencode";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BencodeValue, decodeBencode, decodeBencodeHead, isDictionary } from "../../../swarm/bencode.ts";
import { extensionsFrom } from "../../../swarm/extension.ts";
import { metadataMessageFrom } from "../../../swarm/metadata.ts";
import { torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";

/** What bencode can say, up to some depth. Keys are ASCII, which the library and we read alike. */
const valuesWith = (integers: fc.Arbitrary<number>) =>
  fc.letrec<{ value: Bencodable }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      integers,
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie("value"), { maxLength: 6 }),
      fc.dictionary(
        fc.string({ maxLength: 12 }).filter((key) => key !== "__proto__"),
        tie("value"),
        { maxKeys: 6 },
      ),
    ),
  })).value;

/** Bytes of a value with some of them changed, dropped or put in: likely to be wrong in one place. */
const mutated = fc
  .tuple(
    // Small enough that a few digits more leave them exact.
    valuesWith(fc.integer({ min: -99, max: 99 })),
    fc.array(
      fc.record({
        at: fc.nat(),
        drop: fc.nat({ max: 3 }),
        add: fc.array(fc.constantFrom(..."ilde:-0129xs"), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  )
  .map(([value, changes]) => {
    const bytes = [...bencode.encode(value)];
    for (const { at, drop, add } of changes) {
      bytes.splice(at % (bytes.length + 1), drop, ...add.map((character) => character.charCodeAt(0)));
    }
    return Uint8Array.from(bytes);
  });

const decodedText = (text: string) => decodeBencode(Buffer.from(text, "latin1"));

/** The library's own kinds, with every key as bytes, so that none is lost on encoding. */
function encodable(value: BencodeValue | undefined): Bencodable {
  if (Array.isArray(value)) return value.map(encodable);
  if (!isDictionary(value)) return value as Bencodable;
  const entries = Object.entries(value).map(([key, each]) => [Buffer.from(key, "latin1"), encodable(each)] as const);
  return new Map(entries) as unknown as Bencodable;
}

describe("what is well formed", () => {
  test("reads as the bencode library reads it", () => {
    fc.assert(
      fc.property(valuesWith(fc.maxSafeInteger()), (value) => {
        const bytes = bencode.encode(value);
        expect(decodeBencode(bytes)).toEqual(bencode.decode(bytes));
        expect(decodeBencodeHead(Buffer.concat([bytes, Buffer.from("rest")]))).toEqual(bencode.decode(bytes));
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test("may have its keys out of order, and keys of any bytes", () => {
    expect(decodedText("d1:bi1e1:ai2ee")).toEqual({ a: 2, b: 1 });
    expect(decodedText("d2:\xff\xfei1e2:\xff\xffi2ee")).toEqual({ "\xff\xfe": 1, "\xff\xff": 2 });
  });

  test("keeps __proto__ a key like any other", () => {
    const value = decodedText("d9:__proto__d1:ai1eee") as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(value.a).toBeUndefined();
  });

  test("may hold integers that are rounded, but never to one that passes for exact", () => {
    expect(decodedText("i-9007199254740991e")).toBe(-Number.MAX_SAFE_INTEGER);
    expect(Number.isSafeInteger(decodedText("i18446744073709551615e"))).toBe(false);
  });

  test("is found within a larger buffer", () => {
    const bytes = Buffer.from("xx5:helloyy").subarray(2, 9);
    expect(Buffer.from(decodeBencode(bytes) as Uint8Array).toString()).toBe("hello");
  });
});

describe("what is not", () => {
  test.each([
    ["nothing", ""],
    ["a negative length, which takes the library back and back", "l-3:"],
    ["the same in a dictionary", "d-4:i1ee"],
    ["a length of no digits", ":"],
    ["a signed length", "+1:a"],
    ["a length with leading zeros", "01:a"],
    ["a fractional length", "1.5:a"],
    ["a length beyond the end", "5:abcd"],
    ["a length beyond all memory", "99999999999999999999:a"],
    ["a length without end", "9".repeat(10_000)],
    ["an integer of no digits", "ie"],
    ["a negative zero", "i-0e"],
    ["an integer with leading zeros", "i03e"],
    ["a fraction", "i1.5e"],
    ["an integer without end", `i${"9".repeat(10_000)}`],
    ["a list without end", "l1:a"],
    ["a dictionary without end", "d1:a1:b"],
    ["a key without a value", "d1:ae"],
    ["a key that is no byte string", "di1ei2ee"],
    ["a key that is there twice", "d1:ai1e1:ai2ee"],
    ["two values", "i1ei2e"],
    ["an end alone", "e"],
    ["lists nested without end", "l".repeat(1_000_000)],
    ["lists nested too deep", `${"l".repeat(40)}${"e".repeat(40)}`],
    ["more values than are allowed", `l${"0:".repeat(1_000_000)}e`],
  ])("%s is an Error", (_name, text) => {
    expect(() => decodedText(text)).toThrow(Error);
  });

  test("is an Error in every place where a peer's bytes are read", () => {
    const bytes = Buffer.from("l-3:");
    for (const read of [extensionsFrom, metadataMessageFrom, torrentInfoFromInfoBytes]) {
      expect(() => read(bytes)).toThrow(Error);
    }
  });

  test("is an Error wherever the bytes are changed, or else a value of just these bytes", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        let value: BencodeValue;
        try {
          value = decodeBencode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect(error).not.toBeInstanceOf(RangeError);
          return;
        }
        accepted++;
        // Nothing was passed over or made up: it encodes to the same bytes, but for the order of keys.
        expect(bencode.encode(encodable(value)).toSorted()).toEqual(Uint8Array.from(bytes).sort());
      }),
      { seed: 2, numRuns: 5_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

test("the limit of values can be chosen", () => {
  const bytes = Buffer.from("l0:0:0:e");
  expect(() => decodeBencode(bytes, { valuesMax: 3 })).toThrow("more than 3 values");
  expect(decodeBencode(bytes, { valuesMax: 4 })).toHaveLength(3);
});
