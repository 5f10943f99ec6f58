import fc from "fast-check";
import { expect, test } from "vitest";
import { ReportLedger } from "../../../agent/report/ledger.ts";

const held = (entries: Record<string, bigint>) => new Map(Object.entries(entries));

/** A ledger that knows these holdings told, after two reports. */
const knowing = (told: ReturnType<typeof held>) => {
  const ledger = new ReportLedger();
  ledger.next(told);
  ledger.taken(told, true);
  ledger.next(told);
  ledger.taken(told, false);
  return ledger;
};

test("the first report asks, the next is full if that is wanted, later ones tell what has changed", () => {
  const ledger = new ReportLedger();
  const first = held({ a: 1n, b: 2n });
  expect(ledger.next(first)).toEqual({ sequence: 2, full: false, tell: [], removed: [], checksum: 3n });
  ledger.taken(first, true);
  expect(ledger.next(first)).toEqual({ sequence: 3, full: true, tell: ["a", "b"], removed: [], checksum: 3n });
  ledger.taken(first, false);
  const second = held({ b: 3n, c: 1n });
  expect(ledger.next(second)).toEqual({ sequence: 4, full: false, tell: ["b", "c"], removed: ["a"], checksum: 4n });
  ledger.taken(second, false);
  expect(ledger.next(second)).toEqual({ sequence: 5, full: false, tell: [], removed: [], checksum: 4n });
});

test("if all that is held is known, no full report is sent", () => {
  const ledger = new ReportLedger();
  ledger.next(held({ a: 1n }));
  ledger.taken(held({ a: 1n }), false);
  expect(ledger.next(held({ a: 1n, b: 1n }))).toMatchObject({ full: false, tell: ["b"] });
});

test("after a report whose fate is not known, the next asks, and follows nothing", () => {
  const ledger = knowing(held({ a: 1n }));
  const { sequence } = ledger.next(held({}));
  ledger.lost();
  expect(ledger.next(held({}))).toEqual({ sequence: sequence + 2, full: false, tell: [], removed: [], checksum: 0n });
});

test("until a full report may be sent, reports ask", () => {
  const ledger = knowing(held({}));
  ledger.next(held({ a: 1n }));
  ledger.taken(held({ a: 1n }), true);
  expect(ledger.next(held({ a: 1n }), false)).toMatchObject({ full: false, tell: [] });
  ledger.taken(held({ a: 1n }), true);
  expect(ledger.next(held({ a: 1n }), true)).toMatchObject({ full: true, tell: ["a"] });
});

/** An inventory of before there were checksums: a delta counts right after what is known, and only then. */
class OldInventory {
  sequence: number | undefined;
  known = new Map<string, bigint>();
}

test("an inventory that knows nothing of checksums knows what is held after a report that it takes, whatever is lost", () => {
  const holdings = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.constantFrom(1n, 2n));
  const fate = fc.constantFrom("answered", "request lost", "answer lost", "inventory restarts");
  fc.assert(
    fc.property(fc.array(fc.tuple(holdings, fate)), (rounds) => {
      const ledger = new ReportLedger();
      let inventory = new OldInventory();
      for (const [entries, fateNow] of rounds) {
        const now = held(entries);
        const plan = ledger.next(now);
        if (fateNow === "inventory restarts") inventory = new OldInventory();
        if (fateNow === "request lost") {
          ledger.lost();
          continue;
        }
        const wantsFull = !plan.full && inventory.sequence !== plan.sequence - 1;
        if (!wantsFull) {
          if (plan.full) inventory.known.clear();
          for (const digest of plan.removed) inventory.known.delete(digest);
          for (const digest of plan.tell) inventory.known.set(digest, now.get(digest) as bigint);
          inventory.sequence = plan.sequence;
          expect(inventory.known).toEqual(now);
        } else inventory.sequence = undefined;
        if (fateNow === "answer lost") ledger.lost();
        else ledger.taken(now, wantsFull);
      }
    }),
  );
});
