import fc from "fast-check";
import { expect, test } from "vitest";
import { ReportLedger } from "../../../agent/report/ledger.ts";

const held = (entries: Record<string, string>) => new Map(Object.entries(entries));

test("the first report is full, later ones tell what has changed", () => {
  const ledger = new ReportLedger();
  const first = held({ a: "1", b: "1" });
  expect(ledger.next(first)).toEqual({ sequence: 1, full: true, tell: ["a", "b"], removed: [] });
  ledger.taken(first, false);
  const second = held({ b: "2", c: "1" });
  expect(ledger.next(second)).toEqual({ sequence: 2, full: false, tell: ["b", "c"], removed: ["a"] });
  ledger.taken(second, false);
  expect(ledger.next(second)).toEqual({ sequence: 3, full: false, tell: [], removed: [] });
});

test("after a report whose fate is not known, the next is full", () => {
  const ledger = new ReportLedger();
  ledger.next(held({ a: "1" }));
  ledger.taken(held({ a: "1" }), false);
  ledger.next(held({}));
  ledger.lost();
  expect(ledger.next(held({}))).toEqual({ sequence: 3, full: true, tell: [], removed: [] });
});

test("it is full when the inventory asks for that", () => {
  const ledger = new ReportLedger();
  ledger.next(held({ a: "1" }));
  ledger.taken(held({ a: "1" }), true);
  expect(ledger.next(held({ a: "1" }))).toMatchObject({ sequence: 2, full: true, tell: ["a"] });
});

/** The inventory as proto/bootswarm/seeder/v1/inventory.proto says: a delta counts only right after what is known. */
class Inventory {
  sequence: number | undefined;
  known = new Map<string, string>();
}

test("whatever is lost on the way or forgotten there, the inventory knows what is held after a report that it takes", () => {
  const holdings = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.constantFrom("1", "2"));
  const fate = fc.constantFrom("answered", "request lost", "answer lost", "inventory restarts");
  fc.assert(
    fc.property(fc.array(fc.tuple(holdings, fate)), (rounds) => {
      const ledger = new ReportLedger();
      let inventory = new Inventory();
      for (const [entries, fateNow] of rounds) {
        const now = held(entries);
        const plan = ledger.next(now);
        if (fateNow === "inventory restarts") inventory = new Inventory();
        if (fateNow === "request lost") {
          ledger.lost();
          continue;
        }
        const wantsFull = !plan.full && inventory.sequence !== plan.sequence - 1;
        if (!wantsFull) {
          if (plan.full) inventory.known.clear();
          for (const digest of plan.removed) inventory.known.delete(digest);
          for (const digest of plan.tell) inventory.known.set(digest, now.get(digest) as string);
          inventory.sequence = plan.sequence;
          expect(inventory.known).toEqual(now);
        }
        if (fateNow === "answer lost") ledger.lost();
        else ledger.taken(now, wantsFull);
      }
    }),
  );
});
