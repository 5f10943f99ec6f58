import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Reporter } from "../../../agent/report/reporter.ts";
import { seederTransport } from "../../../agent/seeders/seeder-transport.ts";
import { moveSpreadMsMax, Seeders } from "../../../agent/seeders/seeders.ts";
import { createLog } from "../../../daemon/log.ts";
import { InventoryService } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { ManualClock } from "../swarm/manual-clock.ts";

const log = createLog({ level: "silent", name: "test" });

test("nodes that have lost the same seeder come to another each at a moment of its own, within seconds", async () => {
  const clock = new ManualClock();
  const nodes = 40;
  const cameAtMs: number[] = [];
  const away = createRouterTransport(({ service }) => {
    service(InventoryService, {
      report: () => {
        throw new ConnectError("refused", Code.Unavailable);
      },
    });
  });
  const stop = new AbortController();
  const startMs = clock.now();
  const running = Array.from({ length: nodes }, (_, index) => {
    const nodeId = `node-${index}`;
    const seeders = new Seeders({
      urls: ["http://a", "http://b"],
      nodeId,
      nowMs: () => clock.now(),
      now: () => new Date(0),
      log,
    });
    const lost = seeders.url;
    const there = createRouterTransport(({ service }) => {
      service(InventoryService, {
        report: () => {
          cameAtMs.push(clock.now() - startMs);
          return {};
        },
      });
    });
    const transportTo = (url: string) => (url === lost ? away : there);
    const reporter = new Reporter({
      transport: seederTransport({ seeders, transportTo, isEager: false, nowMs: () => clock.now() }),
      ...{ seeders, epoch: 1n, intervalMs: 60_000, triggers: [], clock, log },
      snapshot: async () => ({
        ...{ node: { id: nodeId }, holdings: [], fetches: [], fetchesActive: false },
        ...{ pieceVerifyFailures: 0n, prefetches: [] },
      }),
      ...{ onBootstrap: () => {}, onSeeders: () => {}, onImagePeers: () => {}, onDirectives: () => {} },
      onResult: () => {},
      random: () => (index + 0.5) / nodes,
    });
    return reporter.run(stop.signal);
  });
  await clock.advance(moveSpreadMsMax + 100);
  expect(cameAtMs).toHaveLength(nodes);
  for (let second = 0; second < moveSpreadMsMax; second += 1_000) {
    const inSecond = cameAtMs.filter((atMs) => atMs > second && atMs <= second + 1_000).length;
    expect(inSecond).toBeLessThanOrEqual(nodes / 4);
  }
  stop.abort();
  await Promise.all(running);
});
