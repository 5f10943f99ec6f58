import { createHash } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { pageBytes, sourceSavedBytesMin } from "../../../boot/limits.ts";
import { pageHashOf } from "../../../boot/page-hashes.ts";
import { decodeProfile, profileOfReads } from "../../../boot/profile.ts";
import { ImageFormat } from "../../../proto/gen/bootswarm/image/v1/image_pb.js";
import { imageOf, packed } from "../../fixtures/boot-images.ts";
import { type RunningSeeder, startSeeder } from "./running-seeder.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function put(seeder: RunningSeeder, name: string, bytes: Uint8Array): Promise<{ status: number; text: string }> {
  const response = await fetch(`${seeder.url}/images/${name}`, { method: "PUT", body: Buffer.from(bytes) });
  return { status: response.status, text: await response.text() };
}

async function bootImageOf(image: Buffer, sources: Parameters<typeof packed>[0]["sources"] = []) {
  const profile = profileOfReads({ digest: sha256(image), sizeBytes: image.length }, [[0, image.length]], pageBytes);
  return await packed({ image, profile, sources });
}

/** A seeder with one image. */
async function withImage(pages: readonly number[] = [1, 0, 2, 3]) {
  const seeder = await startSeeder();
  const image = imageOf(pages);
  await put(seeder, "debian", image);
  return { seeder, image, digest: sha256(image), bootName: `${sha256(image)}.boot` };
}

describe("a boot image in the catalog", () => {
  test("is an item like others, in the swarm too, and says which image it is of", async () => {
    const { seeder, image, digest, bootName } = await withImage();
    const { file } = await bootImageOf(image);
    expect(await put(seeder, bootName, file)).toMatchObject({ status: 201 });
    const { image: found } = await seeder.catalog.getImage({ image: bootName });
    expect(found).toMatchObject({ digest: sha256(file), bootOf: digest, format: ImageFormat.BOOT, bootSources: [] });
    expect(found?.magnetUri).toMatch(/^magnet:/);
    expect((await put(seeder, bootName, file)).status).toBe(200);
    const again = await seeder.restart();
    expect((await again.catalog.getImage({ image: bootName })).image).toMatchObject({ bootOf: digest });
  });

  test("gives the image its boot profile, which is asked for by the image's name", async () => {
    const { seeder, image, bootName } = await withImage();
    await expect(seeder.catalog.getBootProfile({ image: "debian" })).rejects.toMatchObject({
      code: Code.NotFound,
      rawMessage: expect.stringContaining("no boot of debian has been recorded"),
    });
    const { file, head } = await bootImageOf(image);
    await put(seeder, bootName, file);
    const { profile, bootImage } = await seeder.catalog.getBootProfile({ image: "debian" });
    expect(decodeProfile(profile)).toEqual(head.profile);
    expect(bootImage?.digest).toBe(sha256(file));
  });

  test("goes with its image", async () => {
    const { seeder, image, bootName } = await withImage();
    await put(seeder, bootName, (await bootImageOf(image)).file);
    await seeder.catalog.retireImage({ image: "debian" });
    expect((await seeder.catalog.listImages({})).images).toEqual([]);
  });

  test("stays for the boot images that refer to it, and goes with the last of them", async () => {
    const shared = Array.from({ length: sourceSavedBytesMin / pageBytes + 1 }, (_, index) => index + 1);
    const { seeder, image, digest, bootName } = await withImage(shared);
    const first = await bootImageOf(image);
    await put(seeder, bootName, first.file);
    const source = {
      digest: sha256(first.file),
      contentPages: first.head.contentPages,
      pageHashes: shared.map((_, page) => pageHashOf(image.subarray(page * pageBytes, (page + 1) * pageBytes))),
    };
    const like = imageOf([9_000, ...shared]);
    await put(seeder, "like", like);
    const second = await bootImageOf(like, [source]);
    expect((await put(seeder, `${sha256(like)}.boot`, second.file)).status).toBe(201);
    expect(second.file.length).toBeLessThan(first.file.length / 10);
    await expect(seeder.catalog.retireImage({ image: bootName })).rejects.toMatchObject({
      rawMessage: expect.stringContaining(`the boot images of ${sha256(like)} refer to it`),
    });
    await seeder.catalog.retireImage({ image: "debian" });
    expect((await seeder.catalog.getImage({ image: bootName })).image?.bootOf).toBe(digest);
    await seeder.catalog.retireImage({ image: "like" });
    expect((await seeder.catalog.listImages({})).images).toEqual([]);
  });
});

describe("an upload is refused", () => {
  test("of a boot image whose image the catalog does not have", async () => {
    const seeder = await startSeeder();
    const image = imageOf([1, 2]);
    const answer = await put(seeder, `${sha256(image)}.boot`, (await bootImageOf(image)).file);
    expect(answer).toMatchObject({ status: 404, text: expect.stringContaining("it can have no boot image") });
  });

  test("of a boot image that has other bytes than its image", async () => {
    const { seeder, image, digest, bootName } = await withImage();
    const other = imageOf([1, 0, 2, 4]);
    const profile = profileOfReads({ digest, sizeBytes: image.length }, [[0, image.length]], pageBytes);
    const lie = await packed({ image: other, profile });
    const text = expect.stringContaining("its bytes from 8192 on are not the image's");
    expect(await put(seeder, bootName, lie.file)).toMatchObject({ status: 400, text });
    const zeros = await packed({ image: imageOf([1, 0, 0, 3]), profile });
    expect((await put(seeder, bootName, zeros.file)).text).toContain("its bytes from 4096 on are not the image's");
    expect((await seeder.catalog.listImages({})).images).toHaveLength(1);
  });

  test("of a boot image that is of an image of another size", async () => {
    const { seeder, image, digest, bootName } = await withImage();
    const profile = profileOfReads({ digest, sizeBytes: image.length * 2 }, [[0, 1]]);
    const answer = await put(seeder, bootName, (await packed({ image, profile })).file);
    expect(answer).toMatchObject({ status: 400, text: expect.stringContaining("of an image of 32768 bytes") });
  });

  test("of a boot image that is damaged or cut", async () => {
    const { seeder, image, bootName } = await withImage();
    const { file } = await bootImageOf(image);
    const damaged = Buffer.from(file);
    damaged[file.length - 1] = (damaged[file.length - 1] as number) ^ 1;
    expect((await put(seeder, bootName, damaged)).text).toContain("a frame's checksum is wrong");
    expect((await put(seeder, bootName, file.subarray(0, -1))).text).toContain("not the length that its head says");
  });

  test("of a boot image under another name, and of another thing under a boot image's", async () => {
    const { seeder, image, digest, bootName } = await withImage();
    const { file } = await bootImageOf(image);
    expect((await put(seeder, "fast", file)).text).toContain(`its name can only be ${digest}.boot`);
    expect((await put(seeder, bootName, Buffer.from("no boot image"))).text).toContain("these bytes are none");
  });

  test("of a boot image whose source is not in the catalog", async () => {
    const shared = Array.from({ length: sourceSavedBytesMin / pageBytes }, (_, index) => index + 1);
    const { seeder, image, bootName } = await withImage(shared);
    const pageHashes = shared.map((_, page) => pageHashOf(image.subarray(page * pageBytes, (page + 1) * pageBytes)));
    const { file } = await bootImageOf(image, [{ digest: "ee".repeat(32), contentPages: shared.length, pageHashes }]);
    expect((await put(seeder, bootName, file)).text).toContain("which is no boot image of the catalog");
  });
});

describe("the recording of a boot", () => {
  const claim = { image: "debian", nodeId: "n1", nodeName: "node-1", durationMs: 60_000 };

  test("is one node's until it gives it back", async () => {
    const { seeder } = await withImage();
    await seeder.catalog.claimBootRecording(claim);
    await seeder.catalog.claimBootRecording(claim);
    const other = { ...claim, nodeId: "n2" };
    await expect(seeder.catalog.claimBootRecording(other)).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: expect.stringContaining("node node-1 is recording a boot"),
    });
    await seeder.catalog.releaseBootRecording(other);
    await expect(seeder.catalog.claimBootRecording(other)).rejects.toThrow(/node-1 is recording/);
    await seeder.catalog.releaseBootRecording(claim);
    await seeder.catalog.claimBootRecording(other);
  });

  test("is refused where there is a boot image already, or the image is none", async () => {
    const { seeder, image, bootName } = await withImage();
    await put(seeder, bootName, (await bootImageOf(image)).file);
    await expect(seeder.catalog.claimBootRecording(claim)).rejects.toThrow(/bootswarm boot rm debian/);
    await expect(seeder.catalog.claimBootRecording({ ...claim, image: bootName })).rejects.toThrow(/name the image/);
    await expect(seeder.catalog.claimBootRecording({ ...claim, image: "none" })).rejects.toThrow(/no image none/);
  });
});
