/** ut_pex messages (BEP 11) on the wire. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePexMessage, pexMessageFrom } from "../../../swarm/pex-message.ts";

const ipv4 = fc.ipV4();
/** As sockets write addresses. */
const ipv6 = fc.ipV6().map((host) => new URL(`http://[${host}]`).hostname.slice(1, -1));
const endpoint = fc.record({ host: fc.oneof(ipv4, ipv6), port: fc.nat({ max: 65_535 }) });

test("is a dictionary of packed addresses, a byte of flags each, of both families", () => {
  const message = encodePexMessage({
    added: [
      { host: "10.0.0.1", port: 0x1ae1, flags: 0x12 },
      { host: "2001:db8::1", port: 80, flags: 0 },
    ],
    dropped: [{ host: "10.0.0.2", port: 1 }],
  });
  expect(Buffer.from(message).toString("latin1")).toBe(
    [
      "d5:added6:\x0a\x00\x00\x01\x1a\xe1",
      "7:added.f1:\x12",
      "6:added618:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50",
      "8:added6.f1:\x00",
      "7:dropped6:\x0a\x00\x00\x02\x00\x01",
      "8:dropped60:e",
    ].join(""),
  );
});

test("of libtorrent is read", () => {
  const bytes = Buffer.from(
    "d5:added12:\x7f\0\0\x01\x1a\xe1\x7f\0\0\x01\x1a\xe27:added.f2:\x12\x107:dropped0:e",
    "latin1",
  );
  expect(pexMessageFrom(bytes)).toEqual({
    added: [
      { host: "127.0.0.1", port: 0x1ae1, flags: 0x12 },
      { host: "127.0.0.1", port: 0x1ae2, flags: 0x10 },
    ],
    dropped: [],
  });
});

test("whatever addresses there are, they come out as they went in", () => {
  const peer = fc.tuple(endpoint, fc.nat({ max: 255 })).map(([where, flags]) => ({ ...where, flags }));
  const lists = [fc.array(peer, { maxLength: 50 }), fc.array(endpoint, { maxLength: 50 })] as const;
  fc.assert(
    fc.property(...lists, (added, dropped) => {
      const read = pexMessageFrom(encodePexMessage({ added, dropped }));
      const inOrder = (list: { host: string }[]) => list.toSorted((a, b) => family(a) - family(b));
      expect(read).toEqual({ added: inOrder(added), dropped: inOrder(dropped) });
    }),
  );
});

const family = ({ host }: { host: string }) => (host.includes(":") ? 6 : 4);

test("leaves out what is no address", () => {
  const added = [{ host: "node-1.example", port: 1, flags: 0 }];
  expect(pexMessageFrom(encodePexMessage({ added, dropped: [] })).added).toEqual([]);
});

describe("of others", () => {
  test("with more addresses than one message may have is cut", () => {
    const added = Array.from({ length: 5_000 }, (_, number) => ({ host: "10.0.0.1", port: number, flags: 0 }));
    expect(pexMessageFrom(encodePexMessage({ added, dropped: added }))).toMatchObject({
      added: { length: 100 },
      dropped: { length: 100 },
    });
  });

  test.each(["d5:added5:xxxxxe", "d6:added66:xxxxxxe", "d7:dropped1:xe", "le", "", "d5:added"])(
    "%j is an Error",
    (text) => {
      expect(() => pexMessageFrom(Buffer.from(text))).toThrow(Error);
    },
  );

  test("with fields of other types, or none, names nobody", () => {
    for (const text of ["de", "d5:addedi5ee", "d5:added0:7:added.fi1e3:fooi1ee"]) {
      expect(pexMessageFrom(Buffer.from(text))).toEqual({ added: [], dropped: [] });
    }
  });

  test("of random bytes is an Error or a message within bounds", () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .uint8Array({ maxLength: 900 })
        .map((bytes) => Buffer.concat([Buffer.from(`d5:added${bytes.length}:`), bytes, Buffer.from("e")])),
    );
    fc.assert(
      fc.property(noise, (bytes) => {
        try {
          expect(pexMessageFrom(bytes).added.length).toBeLessThanOrEqual(200);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});
