import { expect, onTestFinished, test } from "vitest";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { HttpOrigin } from "../../../agent/fetch/http-origin.ts";
import { serveHttp } from "../../fixtures/http-server.ts";
import { sha256 } from "./scripted-seeder.ts";

const bytes = Buffer.from("the bytes of an image");
const facts: ImageFacts = {
  digest: sha256(bytes),
  names: ["image"],
  sizeBytes: bytes.length,
  format: "raw",
  virtualSizeBytes: bytes.length,
  magnetUri: "",
  infohash: "",
  dataPath: `/images/${sha256(bytes)}/data`,
};

function originOf(url: string) {
  const failed: string[] = [];
  const origin = new HttpOrigin(
    { url, failed: (seeder) => void failed.push(seeder) },
    { nodeId: "n", fallback: "off" },
  );
  onTestFinished(() => origin.close());
  return { origin, failed };
}

const never = new AbortController().signal;

test("bytes come from the seeder that another sends the node on to, with the range that was asked for", async () => {
  const ranges: unknown[] = [];
  const holder = await serveHttp((request, response) => {
    ranges.push(request.headers.range);
    const range = `bytes 4-8/${bytes.length}`;
    response.writeHead(206, { etag: `"${facts.digest}"`, "content-range": range }).end(bytes.subarray(4, 9));
  });
  const { origin, failed } = originOf(
    await serveHttp((request, response) => {
      response.writeHead(307, { location: `${holder}${request.url}?redirected=1` }).end();
    }),
  );
  expect(Buffer.from(await origin.read(facts, 4, 5, never)).toString()).toBe("bytes");
  expect([ranges, failed]).toEqual([["bytes=4-8"], []]);
});

test("seeders that send a node round and round are given up, and no scheme but http is followed", async () => {
  let asked = 0;
  const round = originOf(
    await serveHttp((request, response) => {
      asked++;
      response.writeHead(307, { location: `http://${request.headers.host}${request.url}` }).end();
    }),
  );
  await expect(round.origin.read(facts, 0, 5, never)).rejects.toThrow("sends us from one to the next");
  expect(asked).toBe(3);
  const file = originOf(
    await serveHttp((_request, response) => response.writeHead(307, { location: "file:///etc" }).end()),
  );
  await expect(file.origin.read(facts, 0, 5, never)).rejects.toThrow("the seeder answers HTTP 307");
});

test("it is the seeder sent on to that is told of as failed, if that one does not answer", async () => {
  const { origin, failed } = originOf(
    await serveHttp((_request, response) => response.writeHead(307, { location: "http://127.0.0.1:1/x" }).end()),
  );
  await expect(origin.read(facts, 0, 5, never)).rejects.toThrow("the seeder does not answer");
  expect(failed).toEqual(["http://127.0.0.1:1"]);
});
