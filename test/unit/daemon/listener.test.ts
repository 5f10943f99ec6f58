import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import pino from "pino";
import { Registry } from "prom-client";
import { Client, request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { type ListenAddress, listenAddressFrom } from "../../../daemon/listen-address.ts";
import { type Listener, openListener } from "../../../daemon/listener.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const loopback: ListenAddress = { host: "127.0.0.1", port: 0 };
let ready = true;

async function open(address: ListenAddress = loopback): Promise<Listener> {
  const listener = await openListener({
    address,
    routes: () => {},
    metrics: new Registry(),
    readiness: () => ({ ready, reasons: ready ? [] : ["the seeder is away"] }),
    log: pino({ level: "silent" }),
  });
  onTestFinished(() => listener.close());
  return listener;
}

describe("addresses", () => {
  test.each([
    ["127.0.0.1:7400", { host: "127.0.0.1", port: 7_400 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["[::1]:7400", { host: "::1", port: 7_400 }],
    ["unix:/run/agent.sock", { path: "/run/agent.sock" }],
  ])("%s", (text, address) => {
    expect(listenAddressFrom(text)).toEqual(address);
  });

  test.each(["7400", "127.0.0.1", "127.0.0.1:99999", "::1:7400", "unix:relative", `unix:/${"x".repeat(107)}`, ""])(
    "%s is refused",
    (text) => {
      expect(() => listenAddressFrom(text)).toThrow(/HOST:PORT|absolute|longer/);
    },
  );
});

describe("one port", () => {
  test("serves health, readiness with its reasons, and metrics", async () => {
    const { url } = await open();
    expect((await request(`${url}/healthz`)).statusCode).toBe(200);
    expect((await request(`${url}/metrics`)).headers["content-type"]).toMatch(/text\/plain/);
    ready = false;
    const { statusCode, body } = await request(`${url}/readyz`);
    ready = true;
    expect(statusCode).toBe(503);
    expect(await body.text()).toBe("not ready: the seeder is away\n");
    expect((await request(`${url}/nothing`)).statusCode).toBe(404);
  });

  test("answers grpc.health.v1 as JSON over HTTP/1.1, and as gRPC's transport over HTTP/2", async () => {
    const { url } = await open();
    const check = { method: "POST", body: "{}", headers: { "content-type": "application/json" } } as const;
    const path = "/grpc.health.v1.Health/Check";
    const plain = await request(url + path, check);
    expect(await plain.body.json()).toEqual({ status: "SERVING" });
    const session = connectHttp2(url);
    onTestFinished(() => session.destroy());
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/json" });
    stream.setEncoding("utf8").end("{}");
    const [answer] = await once(stream, "data");
    expect(JSON.parse(answer)).toEqual({ status: "SERVING" });
  });

  test("takes a client's first bytes one by one", async () => {
    const { url } = await open();
    const socket = connect(Number(new URL(url).port), "127.0.0.1").setEncoding("utf8");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    for (const byte of "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n") {
      await new Promise((resolve) => socket.write(byte, resolve));
    }
    await once(socket, "close");
    expect(text).toMatch(/^HTTP\/1.1 200 OK/);
  });

  test("closes though a client holds its connection open", async () => {
    const listener = await open();
    const socket = connect(Number(new URL(listener.url).port), "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    const closed = once(socket, "close");
    await listener.close();
    await closed;
  });

  test("that is taken is refused by name", async () => {
    const { url } = await open();
    const taken = { host: "127.0.0.1", port: Number(new URL(url).port) };
    await expect(open(taken)).rejects.toThrow(/127.0.0.1:\d+ is in use by another process.*--listen/);
    await expect(open({ host: "192.0.2.1", port: 0 })).rejects.toThrow(/no address of this machine/);
  });
});

describe("a Unix socket", () => {
  test("is served, and one left by a killed process is taken over", async () => {
    const path = join(await temporaryDirectory(), "api.sock");
    await (await open({ path })).close();
    const left = createServer().listen(path);
    await once(left, "listening");
    await expect(open({ path })).rejects.toThrow(/in use/);
    left.close();
    const client = new Client("http://localhost", { socketPath: path });
    onTestFinished(() => client.close());
    await open({ path });
    expect((await client.request({ path: "/healthz", method: "GET" })).statusCode).toBe(200);
    expect((await stat(path)).isSocket()).toBe(true);
  });

  test("never takes the place of a file or a directory", async () => {
    const directory = await temporaryDirectory();
    const [file, folder] = [join(directory, "file"), join(directory, "folder")];
    await writeFile(file, "precious");
    await mkdir(folder);
    for (const path of [file, folder]) await expect(open({ path })).rejects.toThrow(/exists and is no socket/);
    expect(await readFile(file, "utf8")).toBe("precious");
  });
});
