/** Imports that have not ended, as small files, so that a restarted seeder starts them again. */
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { ImportRequest } from "../catalog/importer.ts";
import { importsPendingMax, torrentFileBytesMax } from "./limits.ts";

export interface PendingImport {
  id: string;
  request: ImportRequest;
  requestedAtMs: number;
  /** How often it was started over. */
  restarts: number;
}

const fileSchema = z.object({
  source: z.string(),
  torrentFile: z.base64(),
  name: z.string(),
  sha256: z.string(),
  file: z.string(),
  publicDht: z.boolean(),
  requestedAtMs: z.int(),
  restarts: z.int(),
});

/** A torrent file in base64 and the rest. */
const fileBytesMax = 2 * torrentFileBytesMax;
const idPattern = /^[0-9a-f-]{36}$/;

export interface PendingImports {
  /** Keeps an import, in place of what was kept under its id. */
  save(pending: PendingImport): Promise<void>;
  remove(id: string): Promise<void>;
  /** What is kept, oldest first. What cannot be read is logged and removed. */
  load(): Promise<PendingImport[]>;
}

export function newImportId(): string {
  return randomUUID();
}

export async function openPendingImports(directory: string, log: Log): Promise<PendingImports> {
  await mkdir(directory, { recursive: true });
  const pathOf = (id: string) => join(directory, `${id}.json`);
  return {
    async save({ id, request, requestedAtMs, restarts }) {
      const torrentFile = Buffer.from(request.torrentFile).toString("base64");
      await replaceFile(pathOf(id), JSON.stringify({ ...request, torrentFile, requestedAtMs, restarts }));
    },
    remove: (id) => rm(pathOf(id), { force: true }),
    async load() {
      const loaded: PendingImport[] = [];
      for (const name of (await readdir(directory)).slice(0, 2 * importsPendingMax)) {
        const path = join(directory, name);
        const id = name.replace(/\.json$/, "");
        try {
          if (!idPattern.test(id)) throw new Error("not a name of ours");
          loaded.push(pendingFrom(id, await readFile(path, "utf8")));
        } catch (error) {
          log.warn({ path, error: messageOf(error) }, "removed a pending import that cannot be read");
          await rm(path, { recursive: true, force: true });
        }
      }
      return loaded.sort((a, b) => a.requestedAtMs - b.requestedAtMs);
    },
  };
}

function pendingFrom(id: string, text: string): PendingImport {
  if (text.length > fileBytesMax) throw new Error("too large");
  const { torrentFile, requestedAtMs, restarts, ...request } = fileSchema.parse(JSON.parse(text));
  return { id, request: { ...request, torrentFile: Buffer.from(torrentFile, "base64") }, requestedAtMs, restarts };
}

/** A file is there whole or not at all, whenever the power fails. */
async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
