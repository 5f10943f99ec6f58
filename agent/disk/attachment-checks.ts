import { randomBytes } from "node:crypto";
import { Problem } from "../../daemon/problem.ts";
import type { ImageFacts } from "../cache/records.ts";
import { type AttachmentRecord, pathCharactersMax } from "./attachment-records.ts";

/** How the names begin of the QEMU nodes that are a disk. */
export function nodePrefixOf({ id }: AttachmentRecord): string {
  return `bs-${id}`;
}

/** An id that is not among those. */
export function newId(taken: readonly string[]): string {
  for (;;) {
    const id = randomBytes(4).toString("hex");
    if (!taken.includes(id)) return id;
  }
}

/** @throws Problem "invalid" for an image that no VM could be told how to read. */
export function checkFormat({ format, names, digest }: ImageFacts): void {
  if (format === "boot") {
    throw new Problem("invalid", "this is a boot image, which is no disk; attach the image that it is of");
  }
  if (format !== "unknown") return;
  throw new Problem(
    "invalid",
    `the format of "${names[0] ?? digest}" is not known here, and a disk needs raw or qcow2; convert it (qemu-img convert -O qcow2) and publish that`,
  );
}

/** @throws Problem "invalid" for what is neither empty nor an absolute path. */
export function checkPath(path: string): void {
  if (path === "" || (path.startsWith("/") && path.length <= pathCharactersMax && !path.includes("\0"))) return;
  throw new Problem("invalid", `${JSON.stringify(path.slice(0, 200))} is no path; give an absolute one`);
}
