import { expect, test } from "vitest";
import type { NodeReport } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { HostFinder, notFound, unclear } from "../../../seeder/placement/host-finder.ts";

/** Other spellings of names are believed for less than this. */
const laterMs = 2_000;

function scene() {
  const inventory = new Inventory();
  const finder = new HostFinder(inventory);
  const tell = (id: string, name: string) => {
    const node = { id, name, zone: "", reportIntervalMs: 60_000 };
    const report = { node, epoch: 1n, sequence: 1n, full: true, holdings: [], removedDigests: [], fetches: [] };
    inventory.report(report as unknown as NodeReport, 0);
  };
  const idsOf = (host: string, nowMs = 0) => finder.find(host, nowMs).map(({ node }) => node.id);
  return { inventory, finder, tell, idsOf };
}

test("a host that was not known is found once its node reports, by its name at once and by other spellings soon", () => {
  const { tell, idsOf } = scene();
  tell("1", "other");
  expect(idsOf("compute-7")).toEqual([]);
  expect(idsOf("compute-7.example.org")).toEqual([]);
  tell("7", "compute-7.example.org");
  expect(idsOf("compute-7.example.org")).toEqual(["7"]);
  expect(idsOf("7")).toEqual(["7"]);
  idsOf("compute-7");
  expect(idsOf("compute-7", laterMs)).toEqual(["7"]);
});

test("a host is no longer what it was found to be when its node is renamed, forgotten, or has a namesake", () => {
  const { inventory, tell, idsOf } = scene();
  tell("1", "compute-1");
  tell("2", "compute-2");
  expect(["compute-1", "compute-2", "COMPUTE-2"].map((host) => idsOf(host))).toEqual([["1"], ["2"], ["2"]]);
  tell("1", "compute-9");
  expect(idsOf("compute-1", laterMs)).toEqual([]);
  expect(idsOf("compute-9")).toEqual(["1"]);
  inventory.forget("2");
  expect(idsOf("compute-2", laterMs)).toEqual([]);
  expect(idsOf("COMPUTE-2", 2 * laterMs)).toEqual([]);
  tell("3", "compute-9");
  expect(idsOf("compute-9", 3 * laterMs).sort()).toEqual(["1", "3"]);
});

test("a host that was found by spellings of a moment ago is looked for again once they are out of date", () => {
  const { inventory, finder, tell } = scene();
  tell("1", "web-1.example.org");
  tell("2", "web-2.example.org");
  const hosts = ["web-1", "web-2"];
  expect([...finder.slotsOf(hosts, 0)]).toEqual([inventory.slotOf("1"), inventory.slotOf("2")]);
  tell("3", "web-1.example.net");
  tell("2", "db-1.example.org");
  finder.slotsOf(hosts, laterMs / 4);
  expect([...finder.slotsOf(hosts, laterMs)]).toEqual([unclear, notFound]);
});
