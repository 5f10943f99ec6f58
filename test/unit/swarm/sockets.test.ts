import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { dial, readShared } from "../../../swarm/sockets.ts";

/** A connection, as who dialled has it and as the listener does. */
async function connected(take = readShared): Promise<{ dialled: Socket; accepted: Socket }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const taken = new Promise<Socket>((resolve) => server.once("connection", (socket) => resolve(take(socket))));
  const dialled = dial({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  const accepted = await taken;
  onTestFinished(() => {
    dialled.destroy();
    accepted.destroy();
  });
  return { dialled, accepted };
}

/** The memory and a copy of what comes next. */
function next(socket: Socket): Promise<{ memory: ArrayBufferLike; text: string }> {
  return new Promise((resolve) =>
    socket.once("data", (chunk: Buffer) => resolve({ memory: chunk.buffer, text: chunk.toString() })),
  );
}

test("what comes in on accepted connections goes through the same memory as on dialled ones", async () => {
  const { dialled, accepted } = await connected();
  const there = next(accepted);
  dialled.write("there");
  const back = next(dialled);
  accepted.write("back");
  const [received, answered] = await Promise.all([there, back]);
  expect([received.text, answered.text]).toEqual(["there", "back"]);
  expect(received.memory).toBe(answered.memory);
  expect(received.memory.byteLength).toBe(256 * 1024);
});

test("an accepted connection can be left unread, and read on", async () => {
  const { dialled, accepted } = await connected();
  let received = "";
  accepted.on("data", (chunk: Buffer) => {
    received += chunk.toString();
  });
  accepted.pause();
  await new Promise<void>((resolve) => dialled.write("first", () => resolve()));
  // A round trip the other way: by then the bytes are in the kernel.
  const back = next(dialled);
  accepted.write("back");
  await back;
  expect(received).toBe("");
  accepted.resume();
  await expect.poll(() => received, { timeout: 20_000 }).toBe("first");
});

test("an accepted connection knows whom it is with, and ends with the other side", async () => {
  const { dialled, accepted } = await connected();
  expect(accepted.remotePort).toBe((dialled.address() as AddressInfo).port);
  accepted.resume();
  const closed = new Promise((resolve) => accepted.once("close", resolve));
  dialled.end();
  await closed;
});

test("an accepted connection whose handle cannot be had is read all the same", async () => {
  const { dialled, accepted } = await connected((socket) => {
    const withoutHandle = new Proxy(socket, {
      get: (target, name) => {
        const value: unknown = name === "_handle" ? undefined : Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    return readShared(withoutHandle);
  });
  const received = next(accepted);
  dialled.write("there");
  expect((await received).text).toBe("there");
});
