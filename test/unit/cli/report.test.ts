import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { Context } from "../../../cli/context.ts";
import { type Report, showReport } from "../../../cli/report.ts";

/** A command's surroundings, with what it wrote. */
function surroundings(isTTY: boolean) {
  const interrupt = new AbortController();
  const written: string[] = [];
  const terminal = { write: (text: string) => written.push(text), isTTY, columns: 80, rows: 24 };
  const context: Context = { out: terminal, err: terminal, env: {}, now: Date.now, signal: interrupt.signal };
  return { context, written, interrupt: () => interrupt.abort(new Error("interrupted")) };
}

const report: Report = { json: { a: 1 }, sections: [{ table: { columns: [{ header: "A" }], rows: [["1"]] } }] };

test.each([
  ["lines", { watch: true }, false],
  ["JSON", { watch: true, json: true }, false],
  ["a terminal", { watch: true }, true],
])("Ctrl-C is the normal end of a watch in %s, also while an answer is waited for", async (_what, options, isTTY) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { context, interrupt, written } = surroundings(isTTY);
  let calls = 0;
  const get = async () => {
    calls++;
    if (calls === 1) return report;
    // Nobody answers this: only the end of the command ends it.
    await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { signal: context.signal });
    return report;
  };
  const asked = once(server, "request");
  const watching = showReport(context, options, get);
  await asked;
  interrupt();
  await watching;
  expect(written.join("")).toContain("1");
});

test("a watch that fails by itself is an error", async () => {
  const { context } = surroundings(false);
  const failing = () => Promise.reject(new Error("no answer"));
  await expect(showReport(context, { watch: true }, failing)).rejects.toThrow("no answer");
});
