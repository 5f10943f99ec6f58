import { randomUUID } from "node:crypto";
import type { Log } from "../../daemon/log.ts";
import { readSmallFile, writeDurably } from "./durable-file.ts";
import type { StateLayout } from "./layout.ts";

const idPattern = /^[A-Za-z0-9_-]{1,64}$/;
const fileBytesMax = 1_024;

/** The node's id: made at the first start, kept ever after. One that cannot be read is replaced. */
export async function loadNodeId(layout: StateLayout, log: Log): Promise<string> {
  const text = await readSmallFile(layout.disk, layout.nodeId, fileBytesMax).catch(() => Buffer.alloc(0));
  const kept = text?.toString("utf8").trim();
  if (kept !== undefined && idPattern.test(kept)) return kept;
  const id = randomUUID();
  if (kept !== undefined) {
    const { nodeId: path } = layout;
    log.warn(
      { path, node: id },
      "the node's id cannot be read; this is another node from now on, as the inventory sees it",
    );
  }
  await writeDurably(layout, layout.nodeId, `${id}\n`);
  return id;
}
