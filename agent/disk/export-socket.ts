/** Where the Unix sockets of exports are, and who may open them. */
import { chmod, chown, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "../../daemon/problem.ts";

/** Linux' sockaddr_un has room for this much and a zero byte. */
const socketPathBytesMax = 107;
const groupFile = "/etc/group";

/** Where sockets are made. */
export interface SocketPlace {
  /** Absolute. */
  directory: string;
  /** Whether the directory is the agent's own, to be given the right modes if it is there already. */
  isOwn: boolean;
  /** The group that may open sockets beside the agent's own user; undefined: none. */
  groupId: number | undefined;
}

/**
 * @param group a group's name or number; empty: none
 * @throws Problem "invalid" if there is no such group.
 */
export async function socketPlaceFrom(directory: string, isOwn: boolean, group: string): Promise<SocketPlace> {
  return { directory, isOwn, groupId: group === "" ? undefined : await groupIdOf(group) };
}

/**
 * Makes the directory of the sockets, for nobody but the agent's user, and the group if there is one. A directory of
 * somebody else's making is left as it is: who may open the sockets, they say themselves.
 *
 * @throws Problem "unavailable" if it cannot be made or given to the group.
 */
export async function makeSocketDirectory({ directory, isOwn, groupId }: SocketPlace): Promise<void> {
  try {
    const isNew = (await mkdir(directory, { recursive: true })) !== undefined;
    if (!isNew && !isOwn) return;
    if (groupId !== undefined) await chown(directory, process.getuid?.() ?? 0, groupId);
    await chmod(directory, groupId === undefined ? 0o700 : 0o750);
  } catch (error) {
    throw new Problem(
      "unavailable",
      `cannot use ${directory} for the sockets of disks; make it the agent's, or choose another with disk.socketDirectory`,
      { cause: error },
    );
  }
}

/**
 * The path of a disk's socket.
 *
 * @throws Problem "invalid" if it is longer than a Unix socket's can be.
 */
export function socketPathFor(directory: string, name: string): string {
  const path = join(directory, `${name}.sock`);
  const tooLongBy = Buffer.byteLength(path) - socketPathBytesMax;
  if (tooLongBy <= 0) return path;
  throw new Problem(
    "invalid",
    `the socket's path ${path} is ${tooLongBy} bytes longer than the ${socketPathBytesMax} that a Unix socket's may have; choose a shorter --name, or a shorter disk.socketDirectory in the agent's settings`,
  );
}

async function groupIdOf(group: string): Promise<number> {
  if (/^\d{1,10}$/.test(group)) return Number(group);
  const lines = (await readFile(groupFile, "utf8").catch(() => "")).split("\n");
  for (const line of lines) {
    const [name, , id] = line.split(":");
    if (name === group && id !== undefined && /^\d+$/.test(id)) return Number(id);
  }
  throw new Problem("invalid", `disk.socketGroup: there is no group "${group}" in ${groupFile}; give its number`);
}
