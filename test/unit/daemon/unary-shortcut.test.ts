import { once } from "node:events";
import { connect, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import { messageBytesMax } from "../../../daemon/listener.ts";
import { unaryShortcut } from "../../../daemon/unary-shortcut.ts";
import { InventoryService, ReportRequestSchema } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { startSeeder } from "../seeder/running-seeder.ts";

const node = { id: "node-1", name: "web-1", version: "0.1.0", reportIntervalMs: 60_000 };

test("a call is answered alike in binary and JSON, by Connect and gRPC, over HTTP/1.1 and HTTP/2", async () => {
  const { url: baseUrl } = await startSeeder();
  const compressed = { sendCompression: compressionGzip, compressMinBytes: 0 };
  const transports: Record<string, Transport> = {
    "HTTP/1.1": createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    "HTTP/2": createConnectTransport({ baseUrl, httpVersion: "2", idleConnectionTimeoutMs: 1 }),
    JSON: createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    compressed: createConnectTransport({ baseUrl, httpVersion: "1.1", ...compressed }),
    gRPC: createGrpcTransport({ baseUrl, idleConnectionTimeoutMs: 1 }),
  };
  const reports = Object.entries(transports).map(async ([name, transport]) => {
    const { report } = createClient(InventoryService, transport);
    const answer = await report({ node: { ...node, id: name.replace("/", "-") }, sequence: 1n, full: true });
    const fault = await report({ node: { ...node, zone: "no zone" }, sequence: 1n }).catch(ConnectError.from);
    return { name, wanted: answer.fullReportWanted, leaseMs: answer.leaseMs, fault: String(fault) };
  });
  const answers = await Promise.all(reports);
  expect(answers).toHaveLength(5);
  for (const { name: _, ...answer } of answers) {
    expect(answer).toMatchObject({
      wanted: false,
      leaseMs: 180_000,
      fault: expect.stringMatching(/invalid_argument.*node\.zone/),
    });
    expect(answer).toEqual({ ...answers[0], name: undefined });
  }
});

test("a body that is no message, or too long, is refused and the connection goes on", async () => {
  const { url } = await startSeeder();
  const ask = async (body: Uint8Array<ArrayBuffer>) => {
    const headers = { "content-type": "application/proto" };
    const answer = await fetch(`${url}/bootswarm.seeder.v1.InventoryService/Report`, { method: "POST", headers, body });
    return { status: answer.status, ...((await answer.json()) as { code: string }) };
  };
  expect(await ask(new Uint8Array([255, 255]))).toMatchObject({ status: 400, code: "invalid_argument" });
  expect(await ask(new Uint8Array(messageBytesMax + 1))).toMatchObject({ status: 429, code: "resource_exhausted" });
  expect(await ask(new Uint8Array())).toMatchObject({ status: 400, code: "invalid_argument" });
});

test("a report that breaks off with its connection is not taken for a whole one", async () => {
  const taken: string[] = [];
  const shortcut = unaryShortcut(InventoryService.method.report, (request) => {
    taken.push(request.node?.id ?? "");
    return {};
  });
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    expect(shortcut(request, response)).toBe(true);
    request.on("end", end).once("data", () => client.destroy());
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).on("error", () => {});
  const path = `/${InventoryService.typeName}/${InventoryService.method.report.name}`;
  const stream = client.request({ ":method": "POST", ":path": path, "content-type": "application/proto" });
  stream.on("error", () => {}).write(toBinary(ReportRequestSchema, create(ReportRequestSchema, { node })));
  await ended;
  expect(taken).toEqual([]);
});
