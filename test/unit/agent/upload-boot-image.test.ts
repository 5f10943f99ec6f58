/** Boot images on their way to one of several seeders, over real sockets; real seeders take part in test/system/replicas. */
import { writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { MadeBootImage } from "../../../agent/boot/make-boot-image.ts";
import { uploadBootImage } from "../../../agent/boot/upload-boot-image.ts";
import { serveHttp } from "../../fixtures/http-server.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** Sends uploads on to one place after the other, as a seeder does that finds some holder each time. */
function sendingOn(urls: string[]): RequestListener {
  let asked = 0;
  return (request, response) => {
    const location = `${urls[asked++ % urls.length]}${request.url}?redirected=1`;
    request.resume().on("end", () => response.writeHead(307, { location }).end());
  };
}

/** Dies in the middle of each upload. */
const dying: RequestListener = (request) => request.once("data", () => request.socket.destroy());
const taking: RequestListener = (request, response) => {
  request.resume().on("end", () => response.writeHead(201).end("{}"));
};

async function upload(url: string): Promise<{ failed: string[]; outcome: Promise<void> }> {
  const framesPath = join(await temporaryDirectory(), "frames");
  const frames = Buffer.alloc(1_000, 1);
  await writeFile(framesPath, frames);
  const headBytes = Buffer.alloc(100, 2);
  const made = { packed: { headBytes }, framesPath, sizeBytes: headBytes.length + frames.length } as MadeBootImage;
  const failed: string[] = [];
  const seeders = { url, failed: (each: string) => void failed.push(each) };
  const outcome = uploadBootImage(seeders, "ab".repeat(32), made, new AbortController().signal);
  return { failed, outcome };
}

test("it is the seeder sent on to that is told of as failed if it dies in the middle, and another is found by asking again", async () => {
  const dead = await serveHttp(dying);
  const sender = await serveHttp(sendingOn([dead, await serveHttp(taking)]));
  const { failed, outcome } = await upload(sender);
  await outcome;
  expect(failed).toEqual([dead]);
});

test("an upload is given up where it is sent on to the same dead seeder again", async () => {
  const dead = await serveHttp(dying);
  const { failed, outcome } = await upload(await serveHttp(sendingOn([dead])));
  await expect(outcome).rejects.toThrow(`the seeder does not take the boot image`);
  expect(failed).toEqual([dead, dead]);
});

test("the seeder asked is told of as failed where that one does not answer", async () => {
  const { failed, outcome } = await upload("http://127.0.0.1:1");
  await expect(outcome).rejects.toThrow("the seeder does not take the boot image");
  expect(failed).toEqual(["http://127.0.0.1:1"]);
});
