import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { SeederSession } from "../../../agent/seeders/seeder-session.ts";

/** An HTTP/2 SETTINGS frame without settings, and the acknowledgement of one (RFC 9113, 6.5). */
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const settingsAck = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);

/** What nobody catches while calls go to a server that answers no ping. */
async function uncaughtWhileCalling(makeSession: (url: string) => Http2SessionManager) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
    socket.write(Buffer.concat([settings, settingsAck]));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const manager = makeSession(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const uncaught: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  try {
    const call = async () => {
      const stream = await manager.request("POST", "/", {}, {});
      stream.on("error", () => {});
      return stream;
    };
    const { session } = await call();
    if (!session) throw new Error("a call without a session");
    // One call comes after the session was destroyed and before its error, which is told once the socket is closed.
    const destroy = session.destroy.bind(session);
    const next = new Promise((resolve) => {
      session.destroy = (...reason) => {
        destroy(...reason);
        resolve(call());
      };
    });
    await next;
    for (let turn = 0; turn < 10; turn += 1) await setImmediate();
    return uncaught;
  } finally {
    manager.abort();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
    process.removeAllListeners("uncaughtException");
    for (const listener of before) process.on("uncaughtException", listener);
  }
}

const pings = { pingIntervalMs: 20, pingTimeoutMs: 20 };

test("a session whose ping nobody answered ends without ending the process", async () => {
  expect(await uncaughtWhileCalling((url) => new SeederSession(url, pings))).toEqual([]);
});

test("the library's own does not: once it does, SeederSession can go", async () => {
  const errors = await uncaughtWhileCalling((url) => new Http2SessionManager(url, pings));
  expect(errors).toMatchObject([{ message: expect.stringContaining("PING timed out") }]);
});
