/** Copies of an image's file, as cheap as the file system allows. Made with the user's own rights, never the agent's. */
import { chmod, constants, copyFile, type FileHandle, link, open, rm, stat } from "node:fs/promises";
import { CliError, systemCodeIn } from "../cli-error.ts";

export const copyMethods = ["reflink", "link", "copy"] as const;
/**
 * - reflink: a file of its own that shares its blocks with the cache's until one of them is written to (btrfs, XFS).
 * - link: another name of the cache's own file, never to be written to.
 * - copy: a file of its own, holes left out.
 */
export type CopyMethod = (typeof copyMethods)[number];

export interface CopyOptions {
  source: string;
  sizeBytes: number;
  /** The only method to use; the cheapest that works unless given. */
  method: CopyMethod | undefined;
  /** Told of a copy how far it is. */
  onBytes: (doneBytes: number) => void;
  signal: AbortSignal;
}

/** What a file system without the method answers: it has none, the paths are on two of them, or its rules forbid it. */
const impossible: Readonly<Record<"reflink" | "link", readonly string[]>> = {
  reflink: ["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EINVAL", "ENOTTY", "ETXTBSY"],
  link: ["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EPERM", "EMLINK"],
};
const turnBytes = 1024 * 1024;
const partBytes = 64 * 1024;
const zeros = Buffer.alloc(partBytes);

/**
 * Makes a copy at a path where nothing is.
 *
 * @returns how it was made
 * @throws CliError if the source cannot be read or the method asked for does not work; else an Error of the file system
 */
export async function copyImage(options: CopyOptions, path: string): Promise<CopyMethod> {
  const { source, sizeBytes, method } = options;
  await checkSource(source, sizeBytes);
  for (const each of method ? [method] : copyMethods) {
    if (each === "copy") {
      await copySparsely(options, path);
      return each;
    }
    const fault = await tryMethod(each, source, path);
    if (!fault) return each;
    if (method) throw new CliError(impossibleMessage(each, fault), { cause: fault });
  }
  throw new Error("assertion: a copy always works or throws");
}

async function checkSource(source: string, sizeBytes: number): Promise<void> {
  const advice =
    "is the agent on this machine, and may you read its state directory? Run this there, as somebody who may";
  const file = await open(source, "r").catch((error: unknown) => {
    throw new CliError(`the image's file ${source} cannot be read here (${systemCodeIn(error)}): ${advice}`);
  });
  const { size } = await file.stat().finally(() => file.close());
  if (size !== sizeBytes) {
    throw new CliError(`${source} has ${size} bytes where the image has ${sizeBytes}; is it this agent's file?`);
  }
}

/** The error if the method does not work here; other errors are thrown. */
async function tryMethod(method: "reflink" | "link", source: string, path: string): Promise<Error | undefined> {
  try {
    if (method === "reflink") await copyFile(source, path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    else await linkReadOnly(source, path);
    return undefined;
  } catch (error) {
    await rm(path, { force: true });
    if (!impossible[method].includes(systemCodeIn(error) ?? "")) throw error;
    return error as Error;
  }
}

async function linkReadOnly(source: string, path: string): Promise<void> {
  await link(source, path);
  const { mode } = await stat(path);
  // The agent makes it writable again for itself when it has to repair it.
  if ((mode & 0o222) !== 0) await chmod(path, mode & 0o555);
}

function impossibleMessage(method: "reflink" | "link", fault: Error): string {
  if (method === "reflink") {
    return `a reflink copy cannot be made there (${systemCodeIn(fault)}): it needs btrfs, XFS or the like, and the agent's cache on the same file system; use --copy link or --copy copy`;
  }
  return `a hard link cannot be made there (${systemCodeIn(fault)}): it needs the agent's cache on the same file system, and a user who may write to its files; use --copy copy`;
}

/** Reads all of it, and writes what is not zeros. */
async function copySparsely({ source, sizeBytes, onBytes, signal }: CopyOptions, path: string): Promise<void> {
  await using from = await open(source, "r");
  await using to = await open(path, "wx");
  const buffer = Buffer.allocUnsafe(turnBytes);
  for (let done = 0; done < sizeBytes; ) {
    signal.throwIfAborted();
    const { bytesRead } = await from.read(buffer, 0, turnBytes, done);
    if (bytesRead === 0) throw new CliError(`${source} ends at ${done} bytes; was it removed meanwhile? Ask again`);
    await writeData(to, buffer.subarray(0, bytesRead), done);
    done += bytesRead;
    onBytes(done);
  }
  await to.truncate(sizeBytes);
  await to.sync();
}

async function writeData(to: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const start = from;
    while (from < bytes.length && !isZeros(bytes.subarray(from, from + partBytes))) from += partBytes;
    const end = Math.min(from, bytes.length);
    for (let at = start; at < end; ) at += (await to.write(bytes, at, end - at, position + at)).bytesWritten;
    from += partBytes;
  }
}

function isZeros(bytes: Buffer): boolean {
  return bytes.equals(zeros.subarray(0, bytes.length));
}
