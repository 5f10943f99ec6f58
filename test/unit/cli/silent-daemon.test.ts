/** Daemons that take connections and never answer, as a stopped or overloaded process does. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { daemonAddressFrom } from "../../../cli/daemon-address.ts";
import { cliErrorFrom } from "../../../cli/daemon-errors.ts";
import { agentAt, seederAt } from "../../../cli/daemons.ts";

async function silentUrl(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const call = { timeoutMs: 50 };

test("each call says which daemon is silent, where and for how long, and what to do", async () => {
  const url = await silentUrl();
  const seeder = seederAt(daemonAddressFrom("seeder", url));
  const agent = agentAt(daemonAddressFrom("agent", url));
  const calls = {
    seeder: [() => seeder.catalog.listImages({}, call), () => seeder.inventory.listNodes({}, call)],
    agent: [() => agent.service.getStatus({}, call)],
  };
  for (const [kind, asked] of Object.entries(calls)) {
    for (const ask of asked) {
      const error = await ask().catch((error: unknown) => error);
      const message = cliErrorFrom(error)?.message;
      expect(message).toContain(`the ${kind} at ${url} did not answer within 0.05 s: it hangs, is very busy, or is no`);
      expect(message).toContain("look at its log, and restart it");
    }
  }
});

test("a stream says so too", async () => {
  const url = await silentUrl();
  const { catalog } = seederAt(daemonAddressFrom("seeder", url));
  const next = catalog.watchImages({}, call)[Symbol.asyncIterator]().next();
  const error = await next.catch((error: unknown) => error);
  expect(cliErrorFrom(error)?.message).toContain(`the seeder at ${url} did not answer within 0.05 s`);
});
