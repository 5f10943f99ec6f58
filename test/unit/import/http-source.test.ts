import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openHttpSource, readHttp } from "../../../seeder/import/http-source.ts";
import { serveHttp } from "../../fixtures/http-server.ts";

const data = randomBytes(300_000);
const options = { signal: new AbortController().signal, retryDelayMs: 1, stallTimeoutMs: 2_000 };

const serve = async (listener: RequestListener) => `${await serveHttp(listener)}/disk`;

async function readAll(url: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await openHttpSource(url, options)).bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Answers from the range's start on, and breaks the connection after `bytesMax`. */
function answer(request: IncomingMessage, response: ServerResponse, bytesMax: number, etag = '"v1"') {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const headers = { etag, "content-length": data.length - start };
  if (start > 0) {
    response.writeHead(206, { ...headers, "content-range": `bytes ${start}-${data.length - 1}/${data.length}` });
  } else response.writeHead(200, headers);
  const part = data.subarray(start, start + bytesMax);
  if (start + part.length === data.length) response.end(part);
  else response.write(part, () => response.destroy());
}

test("a file comes whole, with its size known first", async () => {
  const url = await serve((request, response) => answer(request, response, data.length));
  expect((await openHttpSource(url, options)).sizeBytes).toBe(data.length);
  expect((await readAll(url)).equals(data)).toBe(true);
});

test("a broken connection is resumed where it broke off, for the same version only", async () => {
  const asked: (string | undefined)[] = [];
  const url = await serve((request, response) => {
    asked.push(request.headers["if-range"] as string | undefined);
    answer(request, response, 100_000);
  });
  expect((await readAll(url)).equals(data)).toBe(true);
  expect(asked.length).toBeGreaterThan(2);
  expect(asked[0]).toBeUndefined();
  expect(new Set(asked.slice(1))).toEqual(new Set(['"v1"']));
});

test("a server without ranges is read again from the beginning, and what is here is skipped", async () => {
  let requests = 0;
  const url = await serve((request, response) => {
    delete request.headers.range;
    answer(request, response, requests++ === 0 ? 100_000 : data.length);
  });
  expect((await readAll(url)).equals(data)).toBe(true);
});

test("a file that changes meanwhile fails the import", async () => {
  let requests = 0;
  const url = await serve((request, response) => {
    delete request.headers.range;
    answer(request, response, 100_000, `"v${requests++}"`);
  });
  await expect(readAll(url)).rejects.toThrow("changed while it was being imported");
});

test("a server that answers another range than asked fails the import", async () => {
  const url = await serve((request, response) => {
    if (request.headers.range === undefined) return answer(request, response, 100_000);
    response.writeHead(206, { "content-range": `bytes 5-9/${data.length}` });
    response.end("12345");
  });
  await expect(readAll(url)).rejects.toThrow("another range");
});

test("a broken connection without a validator fails the import", async () => {
  const url = await serve((_, response) => {
    response.writeHead(200, { "content-length": 1_000 });
    response.write("x", () => response.destroy());
  });
  await expect(readAll(url)).rejects.toThrow("no ETag or Last-Modified");
});

test("overload is waited out, and not for ever", async () => {
  let requests = 0;
  const url = await serve((request, response) => {
    requests++;
    if (requests > 3) return answer(request, response, data.length);
    response.writeHead(503);
    response.end();
  });
  expect((await readAll(url)).equals(data)).toBe(true);
  const dead = await serve((_, response) => {
    response.writeHead(503);
    response.end();
  });
  await expect(readAll(dead)).rejects.toThrow(/gave up after \d+ tries: .* answers 503/);
});

test.each([
  [404, "nothing is there"],
  [403, "credentials"],
  [418, "no file"],
])("status %i is told apart", async (status, message) => {
  const url = await serve((_, response) => {
    response.writeHead(status);
    response.end();
  });
  await expect(readAll(url)).rejects.toThrow(message);
});

test("redirects are followed, a loop is not, nor one to another scheme", async () => {
  const target = await serve((request, response) => answer(request, response, 100_000));
  const redirect = (location: string) =>
    serve((_, response) => {
      response.writeHead(302, { location });
      response.end();
    });
  expect((await readAll(await redirect(target))).equals(data)).toBe(true);
  await expect(readAll(await redirect("/disk"))).rejects.toThrow("redirects more than");
  await expect(readAll(await redirect("file:///etc/passwd"))).rejects.toThrow("no http or https URL");
});

test("an encoded response is refused", async () => {
  const url = await serve((_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" });
    response.end("x");
  });
  await expect(readAll(url)).rejects.toThrow("gzip-encoded");
});

test("nobody at the address is told with the address, after one more try", async () => {
  const retries: unknown[] = [];
  const opening = openHttpSource("http://127.0.0.1:1/disk", { ...options, onRetry: (error) => retries.push(error) });
  await expect(opening).rejects.toThrow(
    /^nobody answers at http:\/\/127.0.0.1:1\/disk \(.*ECONNREFUSED.*; check the URL$/,
  );
  expect(retries).toHaveLength(1);
});

test("a server that goes away after it has begun is waited for, and comes back", async () => {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    answer(request, response, requests === 1 ? 100_000 : data.length);
    if (requests === 1) server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => void server.close());
  let refusals = 0;
  const onRetry = (error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") return;
    refusals++;
    if (refusals === 3) server.listen(port, "127.0.0.1");
  };
  const source = await openHttpSource(`http://127.0.0.1:${port}/disk`, { ...options, onRetry });
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.bytes) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(data)).toBe(true);
  expect(refusals).toBeGreaterThanOrEqual(3);
});

test("a small file is read within its bound only", async () => {
  const url = await serve((request, response) => answer(request, response, data.length));
  expect((await readHttp(url, data.length, options)).length).toBe(data.length);
  await expect(readHttp(url, data.length - 1, options)).rejects.toThrow("is larger than");
});
