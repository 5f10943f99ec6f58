import { join } from "node:path";
import type { Lab } from "./lab.ts";
import { LabProcess } from "./lab-process.ts";

const program = join(import.meta.dirname, "bulk-stream.ts");
/** Long enough for the start of a stream not to matter. */
const checkSeconds = 5;

/** What one TCP stream from the seeder to a node reaches of the link's nominal rate. */
export async function singleStreamShare(lab: Lab, linkBitsPerSecond: number): Promise<number> {
  const { seeder, nodes } = lab.plan;
  const node = nodes[0]!;
  const bytes = Math.round((linkBitsPerSecond / 8) * checkSeconds);
  const start = (host: typeof node, args: string[]) =>
    new LabProcess("bulk stream", lab.commandOn(host, [process.execPath, program, ...args]));
  const receiver = start(node, ["receive", node.address]);
  const { port } = await receiver.says<{ port: number }>("port");
  const sender = start(seeder, ["send", node.address, String(port), String(bytes)]);
  const { bytesPerSecond } = await receiver.says<{ bytesPerSecond: number }>("bytesPerSecond");
  await Promise.all([sender.done(), receiver.done()]);
  return (bytesPerSecond * 8) / linkBitsPerSecond;
}
