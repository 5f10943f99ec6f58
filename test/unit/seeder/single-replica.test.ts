import { request } from "undici";
import { expect, test } from "vitest";
import { ReplicaState } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { startSeeder } from "./running-seeder.ts";

test("a seeder with a store of its own is the only one, and has everything", async () => {
  const { catalog, inventory, url } = await startSeeder();
  const put = async (name: string, query: string) => {
    const { statusCode, body } = await request(`${url}/images/${name}${query}`, { method: "PUT", body: "an image" });
    return { statusCode, text: await body.text() };
  };
  const published = await put("image", "?replicas=1");
  expect(published.statusCode).toBe(201);
  expect(JSON.parse(published.text)).toMatchObject({ replicas: 1 });
  expect((await catalog.getImage({ image: "image" })).image).toMatchObject({ replicas: 1, replicasAway: 0 });
  expect((await catalog.listReplicas({})).replicas).toMatchObject([
    { url, state: ReplicaState.UP, images: 1, imagesMissing: 0, answering: true, fetches: [] },
  ]);
  const node = { id: "n", reportIntervalMs: 1_000 };
  const report = await inventory.report({ node, epoch: 1n, sequence: 1n, full: true });
  expect([report.seederUrls, report.bootstrap.length]).toEqual([[], 1]);

  // More than there are is refused before anything is published.
  expect(await put("two", "?replicas=2")).toMatchObject({
    statusCode: 409,
    text: expect.stringContaining("2 seeders cannot hold an image, as only this one is there"),
  });
  expect(await put("two", "?replicas=two")).toMatchObject({ statusCode: 400 });
  const importing = (async () => {
    for await (const _answer of catalog.importImage({ source: "http://127.0.0.1:1/x", name: "two", replicas: 2 }));
  })();
  await expect(importing).rejects.toThrow("only this one is there");
  expect((await catalog.listImports({})).imports).toEqual([]);
  const waiting = (async () => {
    for await (const _answer of catalog.awaitReplicas({ image: "image", replicas: 2 }));
  })();
  await expect(waiting).rejects.toThrow("only this one is there");
  await expect(catalog.forgetReplica({ replica: url })).rejects.toThrow("is live; stop it first");
});
