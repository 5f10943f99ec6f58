/** Uploads to a server that behaves badly, over real sockets; a real seeder takes part in commands.test.ts. */
import { writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { daemonAddressFrom } from "../../../cli/daemon-address.ts";
import { uploadImage } from "../../../cli/upload.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** Larger than what the socket buffers of both ends take, so that a refusal comes while it is being sent. */
const sizeBytes = 64 * 1024 * 1024;

async function urlOf(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function upload(url: string, options: { path?: string; onSent?: () => void } = {}) {
  const path = options.path ?? join(await temporaryDirectory(), "image.raw");
  if (options.path === undefined) await writeFile(path, Buffer.alloc(sizeBytes, 7));
  return uploadImage(daemonAddressFrom("seeder", url), {
    path,
    name: "image",
    sha256: undefined,
    torrent: true,
    onSent: options.onSent ?? (() => {}),
    signal: new AbortController().signal,
  });
}

const httpServer = (listener: RequestListener) => urlOf(createHttpServer(listener));

test("a refusal that comes before the body is read is told in the seeder's words", async () => {
  const url = await httpServer((_request, response) => {
    response.writeHead(409, { "content-type": "application/json" });
    response.end(JSON.stringify({ code: "already_exists", message: '"image" is the name of another image' }));
  });
  await expect(upload(url)).rejects.toThrow('"image" is the name of another image');
});

test("a refusal in the middle of the body is told in the seeder's words", async () => {
  const url = await httpServer((request, response) => {
    request.once("data", () => {
      response.writeHead(507, { "content-type": "application/json" });
      response.end(JSON.stringify({ code: "resource_exhausted", message: "the disk is full" }));
      request.resume();
    });
  });
  await expect(upload(url)).rejects.toThrow("the disk is full");
});

test("a refusal in the middle of the body after which the server hangs up at once is told, if not in its words", async () => {
  const body = JSON.stringify({ code: "resource_exhausted", message: "the disk is full" });
  const head = `HTTP/1.1 507 Insufficient Storage\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`;
  const url = await urlOf(
    createServer((socket) => {
      // Closing with bytes unread resets the connection, which may overtake the answer.
      socket.on("error", () => {}).once("data", () => socket.write(head + body, () => socket.destroy()));
    }),
  );
  await expect(upload(url)).rejects.toThrow(
    /^the disk is full$|closed the connection after .* of 64\.0 MiB; nothing was published\. Its log says why/,
  );
});

test("a connection that breaks says how far it came, and that nothing was published", async () => {
  const url = await urlOf(
    createServer((socket) => socket.on("error", () => {}).once("data", () => socket.resetAndDestroy())),
  );
  await expect(upload(url)).rejects.toThrow(/closed the connection after .* of 64\.0 MiB; nothing was published/);
});

test("an answer that is not a seeder's is shown for what it is", async () => {
  const url = await httpServer((request, response) => {
    request.resume().on("end", () => response.writeHead(502).end("<html>bad gateway"));
  });
  await expect(upload(url)).rejects.toThrow("answered with HTTP status 502: <html>bad gateway");
});

test("a digest that is not that of the bytes sent is an error", async () => {
  const url = await httpServer((request, response) => {
    request.resume().on("end", () => response.end(JSON.stringify({ digest: "0".repeat(64), names: ["image"] })));
  });
  await expect(upload(url)).rejects.toThrow(/they changed on the way.*bootswarm retire image/);
});

test("a file that shrinks while it is sent is refused", async () => {
  const path = join(await temporaryDirectory(), "image.raw");
  await writeFile(path, Buffer.alloc(sizeBytes, 7));
  const url = await httpServer((request, response) => {
    request.resume().on("end", () => response.end("{}"));
  });
  let cut = false;
  const onSent = () => {
    if (cut) return;
    cut = true;
    return writeFile(path, "now it is short");
  };
  await expect(upload(url, { path, onSent })).rejects.toThrow(/changed while it was being sent/);
});

test("no seeder, no file, an empty file: each is said plainly", async () => {
  const directory = await temporaryDirectory();
  const empty = join(directory, "empty.raw");
  await writeFile(empty, "");
  await expect(upload("http://127.0.0.1:9", { path: join(directory, "none.raw") })).rejects.toThrow("no such file");
  await expect(upload("http://127.0.0.1:9", { path: directory })).rejects.toThrow("is no file");
  await expect(upload("http://127.0.0.1:9", { path: empty })).rejects.toThrow("is empty");
  await expect(upload(`unix:${directory}/none.sock`)).rejects.toThrow(/no seeder answers at unix:.*bootswarm seeder/);
});
