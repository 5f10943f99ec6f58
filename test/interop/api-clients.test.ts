/** Clients that are not ours on the daemons' one port: a plain gRPC client, and curl with JSON. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { expect, onTestFinished, test } from "vitest";
import { startAgent, startSeeder, type TestAgent, type TestSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { requireTool, run } from "../fixtures/tools.ts";

const protoRoot = join(import.meta.dirname, "../../proto");

/** A gRPC client made from the .proto files alone. */
function grpcClient(service: string, file: string, url: string): grpc.Client & Record<string, unknown> {
  const definition = loadSync(file, { includeDirs: [protoRoot], longs: String, enums: String, defaults: true });
  let found: unknown = grpc.loadPackageDefinition(definition);
  for (const part of service.split(".")) found = (found as Record<string, unknown>)[part];
  const Client = found as new (address: string, credentials: grpc.ChannelCredentials) => grpc.Client;
  const client = new Client(new URL(url).host, grpc.credentials.createInsecure());
  onTestFinished(() => client.close());
  return client as grpc.Client & Record<string, unknown>;
}

function unary(client: Record<string, unknown>, method: string, message: object): Promise<Record<string, unknown>> {
  const call = (client[method] as (...args: unknown[]) => unknown).bind(client);
  return new Promise((resolve, reject) => {
    call(message, (error: Error | null, answer: Record<string, unknown>) => (error ? reject(error) : resolve(answer)));
  });
}

async function daemons(): Promise<{ seeder: TestSeeder; agent: TestAgent; file: string; digest: string }> {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"));
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const file = await makeRandomFile(directory, "image", 4);
  return { seeder, agent, file, digest: await sha256Of(file) };
}

test("curl publishes, lists, fetches and downloads", async () => {
  requireTool("curl");
  const { seeder, agent, file, digest } = await daemons();
  const published = await run("curl", ["-sS", "--fail-with-body", "-T", file, `${seeder.url}/images/disk`]);
  expect(JSON.parse(published.stdout)).toMatchObject({ digest, names: ["disk"] });
  const call = async (url: string, method: string, body: object) => {
    const json = ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
    return JSON.parse((await run("curl", ["-sS", ...json, `${url}/${method}`])).stdout);
  };
  const { images } = await call(seeder.url, "bootswarm.seeder.v1.CatalogService/ListImages", {});
  expect(images).toMatchObject([{ digest, sizeBytes: String(4 * 1024 * 1024) }]);
  const missing = await call(agent.url, "bootswarm.agent.v1.AgentService/GetImage", { image: "nothing" });
  expect(missing).toMatchObject({ code: "not_found" });
  const copy = `${file}.copy`;
  await run("curl", ["-sS", "--fail", "-o", copy, `${seeder.url}/images/disk/data`]);
  expect(await sha256Of(copy)).toBe(digest);
  const part = await run("curl", [
    "-sS",
    "-r",
    "100-109",
    `${seeder.url}/images/${digest}/data`,
    "-o",
    copy,
    "-w",
    "%{http_code} %{size_download}",
  ]);
  expect(part.stdout).toBe("206 10");
  const refused = await run("curl", ["-sS", "-T", file, "-w", "\n%{http_code}", `${seeder.url}/images/..%2Fescape`]);
  expect(refused.stdout).toMatch(/\n4\d\d$/);
});

test("a gRPC client made from the .proto files lists, streams a fetch and is told errors by code", async () => {
  const { seeder, agent, file, digest } = await daemons();
  await run("curl", ["-sS", "--fail", "-T", file, `${seeder.url}/images/disk`]);
  const catalog = grpcClient("bootswarm.seeder.v1.CatalogService", "bootswarm/seeder/v1/catalog.proto", seeder.url);
  expect(await unary(catalog, "GetImage", { image: "disk" })).toMatchObject({ image: { digest } });
  const node = grpcClient("bootswarm.agent.v1.AgentService", "bootswarm/agent/v1/agent.proto", agent.url);
  const stream = (
    node.EnsureImage as (message: object) => grpc.ClientReadableStream<{ fetch: { state: string } }>
  ).call(node, { image: "disk" });
  const states: string[] = [];
  for await (const message of stream) states.push((message as { fetch: { state: string } }).fetch.state);
  expect(states.at(-1)).toBe("FETCH_STATE_READY");
  await expect(unary(node, "GetImage", { image: "nothing" })).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
  const health = grpcClient("grpc.health.v1.Health", "grpc/health/v1/health.proto", agent.url);
  expect(await unary(health, "Check", {})).toMatchObject({ status: "SERVING" });
});

test("promtool finds nothing to complain of in either daemon's metrics", async () => {
  requireTool("promtool");
  const { seeder, agent, file } = await daemons();
  await run("curl", ["-sS", "--fail", "-T", file, `${seeder.url}/images/disk`]);
  for await (const _ of agent.service.ensureImage({ image: "disk" }));
  for (const { url } of [seeder, agent]) {
    const saved = `${file}.metrics`;
    await writeFile(saved, (await run("curl", ["-sS", "--fail", `${url}/metrics`])).stdout);
    const { stdout, stderr } = await run("/bin/sh", ["-c", `promtool check metrics < ${saved}`]);
    expect(stdout + stderr).toBe("");
  }
});
