/** QEMU's monitor protocol, and what a handover says by it, against sockets that answer as QEMU does, or do not. */
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { handOverBy, handoverSteps } from "../../../agent/disk/qmp/handover.ts";
import { connectQmp } from "../../../agent/disk/qmp/qmp-client.ts";
import { isQemuRunning } from "../../../agent/disk/qmp/running-vm.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const greeting = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}\r\n';
const target = { name: "vm1", nodePrefix: "bs-1", imagePath: "/images/data", format: "raw" } as const;
const atStart = new Set(["bs-1-nbd", "bs-1-base", "bs-1-file", "bs-1-overlay"]);

const { signal } = new AbortController();

interface Command {
  execute: string;
  arguments: Record<string, unknown>;
  id: number;
}

/** A socket whose other end is what `serve` makes of it. */
async function socketServing(serve: (socket: Socket) => void): Promise<string> {
  const path = join(await temporaryDirectory(), "qmp");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

/** Something that speaks QMP: greets, and answers each command with what `answer` returns, with an event before. */
async function qmpServer(answer: (command: Command) => object): Promise<{ path: string; commands: Command[] }> {
  const commands: Command[] = [];
  const path = await socketServing((socket) => {
    socket.write(greeting);
    socket.on("data", (bytes) => {
      for (const line of bytes.toString().trim().split("\n")) {
        const command = JSON.parse(line) as Command;
        commands.push(command);
        socket.write('{"event": "RESUME", "timestamp": {}}\r\n');
        const said = command.execute === "qmp_capabilities" ? { return: {} } : answer(command);
        socket.write(`${JSON.stringify({ ...said, id: command.id })}\r\n`);
      }
    });
  });
  return { path, commands };
}

test("a command is answered by its id, whatever events come between", async () => {
  const { path } = await qmpServer(({ execute }) => ({ return: { was: execute } }));
  const qmp = await connectQmp(path, signal);
  const both = [qmp.execute("query-status", {}, 5_000), qmp.execute("query-block", {}, 5_000)];
  expect(await Promise.all(both)).toEqual([{ was: "query-status" }, { was: "query-block" }]);
  qmp.close();
});

test("a message may come in parts", async () => {
  const path = await socketServing((socket) => {
    for (const character of greeting) socket.write(character);
    socket.on("data", () => {
      socket.write('{"return":');
      setImmediate(() => socket.write(' {}, "id": 1}\n'));
    });
  });
  (await connectQmp(path, signal)).close();
});

test.each([
  ["no socket", async () => join(await temporaryDirectory(), "none"), /there is no QMP socket/],
  ["a file", async () => import.meta.filename, /it is no QMP socket/],
  ["HTTP", () => socketServing((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")), /is no QMP/],
  ["something that hangs up", () => socketServing((socket) => socket.end()), /has closed/],
  [
    "an endless message",
    () => socketServing((socket) => socket.write(`{"QMP": "${"x".repeat(5 * 1024 * 1024)}`)),
    /longer than 4194304 bytes/,
  ],
])("%s is no QMP, and said to be none", async (_what, makePath, message) => {
  await expect(connectQmp(await makePath(), signal)).rejects.toThrow(message);
});

test("a QEMU that ends in the middle is said to have", async () => {
  const path = await socketServing((socket) => {
    socket.write(greeting);
    socket.once("data", () => {
      socket.write('{"return": {}, "id": 1}\n');
      socket.once("data", () => socket.destroy());
    });
  });
  const qmp = await connectQmp(path, signal);
  await expect(qmp.execute("query-block", {}, 5_000)).rejects.toThrow(/closed its QMP connection/);
});

test("a command that is not answered has a time limit", async () => {
  const path = await socketServing((socket) => {
    socket.write(greeting);
    socket.once("data", () => socket.write('{"return": {}, "id": 1}\n'));
  });
  const qmp = await connectQmp(path, signal);
  await expect(qmp.execute("blockdev-reopen", {}, 50)).rejects.toThrow(/did not answer blockdev-reopen within 0.05 s/);
  qmp.close();
});

test("nobody waits for a QEMU that hangs once the agent stops", async () => {
  const stop = new AbortController();
  const path = await socketServing((socket) => void socket.once("data", () => stop.abort()).write(greeting));
  await expect(connectQmp(path, stop.signal)).rejects.toThrow(/stopped waiting for/);
});

test("a VM is running as long as its socket takes connections", async () => {
  const { path } = await qmpServer(() => ({}));
  expect(await isQemuRunning(path)).toBe(true);
  expect(await isQemuRunning(`${path}-none`)).toBe(false);
});

test("a VM whose socket others wait for already is running, and a handover says that it is taken", async () => {
  const path = join(await temporaryDirectory(), "qmp");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ path, backlog: 1 }, resolve));
  // In one turn, so that none is taken from the queue.
  const others = Array.from({ length: 3 }, () => connect(path).on("error", () => {}));
  const running = isQemuRunning(path);
  const handover = connectQmp(path, signal);
  onTestFinished(() => {
    for (const socket of others) socket.destroy();
    server.close();
  });
  await expect(handover).rejects.toThrow(/is taken by others/);
  expect(await running).toBe(true);
});

test("a handover adds the file, opens the overlay anew and takes the export away, in this order", () => {
  const steps = handoverSteps(target, atStart);
  expect(steps.map(({ command }) => command)).toEqual([
    "blockdev-add",
    "blockdev-reopen",
    "blockdev-del",
    "blockdev-del",
  ]);
  expect(steps[0]?.args).toMatchObject({
    driver: "raw",
    "node-name": "bs-1-local",
    file: { filename: "/images/data" },
  });
  expect(steps[1]?.args).toEqual({
    options: [{ driver: "qcow2", "node-name": "bs-1-overlay", file: "bs-1-file", backing: "bs-1-local" }],
  });
  expect(steps.slice(2).map(({ args }) => args["node-name"])).toEqual(["bs-1-base", "bs-1-nbd"]);
});

test("a handover that was cut off is gone on with from anywhere, and one that is done is not done again", () => {
  const there = new Set(atStart);
  const all = handoverSteps(target, there);
  const added = new Set([...there, "bs-1-local", "bs-1-local-file"]);
  expect(handoverSteps(target, added)).toEqual(all.slice(1));
  added.delete("bs-1-base");
  expect(handoverSteps(target, added)).toEqual([all[1], all[3]]);
  added.delete("bs-1-nbd");
  expect(handoverSteps(target, added)).toEqual([]);
});

test("a QEMU that was started in another way is told so, and nothing is done to it", async () => {
  const { path, commands } = await qmpServer(() => ({ return: [{ "node-name": "drive0" }] }));
  const qmp = await connectQmp(path, signal);
  await expect(handOverBy(qmp, target, path)).rejects.toThrow(/no block node "bs-1-overlay".*disk attach --overlay/);
  expect(commands.map(({ execute }) => execute)).toEqual(["qmp_capabilities", "query-named-block-nodes"]);
  qmp.close();
});

test("a switch that QEMU refuses leaves no node behind, and gives QEMU's reason", async () => {
  const { path, commands } = await qmpServer(({ execute }) => {
    if (execute === "query-named-block-nodes") return { return: [...atStart].map((name) => ({ "node-name": name })) };
    if (execute === "blockdev-reopen") return { error: { class: "GenericError", desc: "Cannot change the option" } };
    return { return: {} };
  });
  const qmp = await connectQmp(path, signal);
  await expect(handOverBy(qmp, target, path)).rejects.toThrow(/Cannot change the option; its VM goes on as before/);
  expect(commands.at(-1)).toMatchObject({ execute: "blockdev-del", arguments: { "node-name": "bs-1-local" } });
  qmp.close();
});

test("a QEMU without blockdev-reopen is said to be too old", async () => {
  const { path } = await qmpServer(({ execute }) => {
    if (execute === "query-named-block-nodes") return { return: [...atStart].map((name) => ({ "node-name": name })) };
    if (execute === "blockdev-reopen") return { error: { class: "CommandNotFound", desc: "no such command" } };
    return { return: {} };
  });
  const qmp = await connectQmp(path, signal);
  await expect(handOverBy(qmp, target, path)).rejects.toThrow(/needs QEMU 6.1 or later/);
  qmp.close();
});
