/** A file that a command makes where the user says: written aside and put in its place whole, or not at all. */
import { randomBytes } from "node:crypto";
import { link, lstat, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import { CliError, systemCodeIn } from "../cli-error.ts";

export interface TargetFile {
  /** Absolute. */
  path: string;
  /** Whether a file that is there may be replaced. */
  force: boolean;
}

/** Longest name of a file (NAME_MAX), and how much of it the name aside adds. */
const nameBytesMax = 255;
const asideSuffixBytes = 24;

/**
 * Looks whether a file may be made there, before any work is done for it.
 *
 * @throws CliError saying what is in the way
 */
export async function targetFileAt(path: string, force: boolean): Promise<TargetFile> {
  const target = { path: resolve(path), force };
  if (Buffer.byteLength(basename(target.path)) > nameBytesMax - asideSuffixBytes) {
    throw new CliError(`the name of ${path} is too long`);
  }
  const parent = await lstat(`${dirname(target.path)}/.`).catch((error: unknown) => {
    throw new CliError(`the directory of ${path} cannot be used (${systemCodeIn(error)}); make it first`);
  });
  if (!parent.isDirectory()) throw new CliError(`${dirname(path)} is no directory`);
  await checkFree(target);
  return target;
}

async function checkFree({ path, force }: TargetFile): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (!there) return;
  if (there.isDirectory()) throw new CliError(`${path} is a directory; name the file to make in it`);
  if (!force) throw new CliError(`${path} exists already; choose another path, or replace it with --force`);
  if (!there.isFile() && !there.isSymbolicLink()) throw new CliError(`${path} is no ordinary file; it is not replaced`);
}

/**
 * Has `make` make a file beside the target, and puts it in the target's place. Nothing is left of it on an error.
 *
 * @throws CliError; what `make` throws of a call to a daemon
 */
export async function makeFile<T>(target: TargetFile, make: (aside: string) => Promise<T>): Promise<T> {
  const { path } = target;
  const aside = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}.partial`);
  try {
    const result = await make(aside);
    await putInPlace(target, aside);
    return result;
  } catch (error) {
    throw error instanceof CliError || error instanceof ConnectError ? error : fileError(error, path);
  } finally {
    await rm(aside, { force: true });
  }
}

async function putInPlace(target: TargetFile, aside: string): Promise<void> {
  if (!target.force) {
    try {
      // Unlike a rename, a link never replaces what came there meanwhile.
      await link(aside, target.path);
      return;
    } catch (error) {
      if (systemCodeIn(error) === "EEXIST") await checkFree(target);
      // Not every file system has links.
    }
    await checkFree(target);
  }
  await rename(aside, target.path);
}

const advice: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free space, or choose another path",
  EDQUOT: "your quota is used up; free space, or choose another path",
  EACCES: "you may not write there; choose another path, or run this as somebody who may",
  EPERM: "you may not write there; choose another path, or run this as somebody who may",
  EROFS: "the disk is read-only; choose another path",
  EIO: "the disk fails; see the kernel's log",
};

/** What the user is told of a file that cannot be made. */
export function fileError(error: unknown, path: string): CliError {
  const code = systemCodeIn(error) ?? "";
  return new CliError(`cannot make ${path}: ${advice[code] ?? (error as Error).message}`, { cause: error });
}
