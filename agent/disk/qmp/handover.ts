/**
 * The handover of a running VM: its QEMU is told to read the image's local file where it has read the NBD export. The
 * overlay's header names the file from the start; only the running QEMU knew the export, as the node named
 * PREFIX-base. A node for the file is added, the overlay is opened anew with that as its backing node, and the export's
 * nodes go. QEMU finishes what is being read before, so it takes milliseconds, and the guest does not notice.
 *
 * Each step leaves a VM that reads right bytes, and what is found done is not done again: a handover that was cut off
 * is gone on with by asking for it once more.
 */
import { Problem } from "../../../daemon/problem.ts";
import type { HandOverTarget } from "../attachment.ts";
import { type Qmp, QmpRefusal } from "./qmp-client.ts";

/** Most of them answer at once. */
const answerMs = 10_000;
/** It waits for the reads that are under way: with the image complete, no longer than a disk takes. */
const reopenMs = 60_000;

/** The nodes of a disk in QEMU; `bootswarm disk attach` prints a command line that has the first four. */
export interface NodeNames {
  /** The NBD client. */
  nbd: string;
  /** The image's format on it. */
  base: string;
  overlayFile: string;
  overlay: string;
  /** The image's format on its local file, after a handover. */
  local: string;
  localFile: string;
}

export function nodeNames(prefix: string): NodeNames {
  return {
    nbd: `${prefix}-nbd`,
    base: `${prefix}-base`,
    overlayFile: `${prefix}-file`,
    overlay: `${prefix}-overlay`,
    local: `${prefix}-local`,
    localFile: `${prefix}-local-file`,
  };
}

export interface QmpStep {
  command: "blockdev-add" | "blockdev-reopen" | "blockdev-del";
  args: Record<string, unknown>;
}

/** What is left to be done, by the names of the nodes that there are: pure. Empty once all is done. */
export function handoverSteps(
  { nodePrefix, imagePath, format }: HandOverTarget,
  there: ReadonlySet<string>,
): QmpStep[] {
  const names = nodeNames(nodePrefix);
  const gone = [names.base, names.nbd].filter((name) => there.has(name));
  if (gone.length === 0 && there.has(names.local)) return [];
  const file = { driver: "file", "node-name": names.localFile, filename: imagePath, "read-only": true };
  const local = { driver: format, "node-name": names.local, "read-only": true, file };
  const overlay = { driver: "qcow2", "node-name": names.overlay, file: names.overlayFile, backing: names.local };
  return [
    ...(there.has(names.local) ? [] : [{ command: "blockdev-add", args: local } as const]),
    { command: "blockdev-reopen", args: { options: [overlay] } },
    ...gone.map((name) => ({ command: "blockdev-del", args: { "node-name": name } }) as const),
  ];
}

/**
 * Has a QEMU read the image's file in place of the export.
 *
 * @throws Problem; the VM then goes on reading what it read before.
 */
export async function handOverBy(qmp: Qmp, target: HandOverTarget, qmpPath: string): Promise<void> {
  const names = nodeNames(target.nodePrefix);
  const there = await nodesOf(qmp, qmpPath);
  if (!there.has(names.overlay)) {
    throw new Problem(
      "conflict",
      `the QEMU at ${qmpPath} has no block node "${names.overlay}", so it does not read disk "${target.name}" in a way that can be handed over; start it as \`bootswarm disk attach --overlay\` printed`,
    );
  }
  for (const { command, args } of handoverSteps(target, there)) {
    try {
      await qmp.execute(command, args, command === "blockdev-reopen" ? reopenMs : answerMs);
    } catch (error) {
      if (!(error instanceof QmpRefusal)) throw error;
      // Not to be found half done: the VM reads the export as before.
      if (command === "blockdev-reopen" && !there.has(names.local)) await removeNode(qmp, names.local);
      throw refusalProblem(error, command, target, qmpPath);
    }
  }
}

async function nodesOf(qmp: Qmp, qmpPath: string): Promise<Set<string>> {
  const answer = await qmp.execute("query-named-block-nodes", { flat: true }, answerMs).catch((error: unknown) => {
    if (!(error instanceof QmpRefusal)) throw error;
    throw new Problem("conflict", `${qmpPath}: ${error.message}; a handover needs QEMU 6.1 or later`, { cause: error });
  });
  if (!Array.isArray(answer)) throw new Problem("invalid", `${qmpPath} does not answer as QEMU does`);
  return new Set(answer.map((node: Record<string, unknown> | null) => String(node?.["node-name"] ?? "")));
}

async function removeNode(qmp: Qmp, name: string): Promise<void> {
  // If it cannot be removed, the next try uses it.
  await qmp.execute("blockdev-del", { "node-name": name }, answerMs).catch(() => {});
}

function refusalProblem(error: QmpRefusal, command: string, target: HandOverTarget, qmpPath: string): Problem {
  const options = { cause: error };
  if (error.errorClass === "CommandNotFound") {
    return new Problem("conflict", `the QEMU at ${qmpPath} is too old: a handover needs QEMU 6.1 or later`, options);
  }
  const advice =
    command === "blockdev-add"
      ? `let the user that QEMU runs as read ${target.imagePath}`
      : `was it started as \`bootswarm disk attach --overlay\` printed?`;
  const message = `disk "${target.name}" cannot be handed over: ${error.message}; its VM goes on as before; ${advice}`;
  return new Problem("conflict", message, options);
}
