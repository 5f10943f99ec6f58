/** qcow2 overlays: a VM's writes in a file of their own, over an image that stays as it is. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { CliError, systemCodeIn } from "../cli-error.ts";

const timeoutMs = 60_000;

/** What qemu-img calls an image's format. What nobody has recognised is taken as it is. */
export function qemuFormat(format: ImageFormat): "raw" | "qcow2" {
  return format === ImageFormat.QCOW2 ? "qcow2" : "raw";
}

/**
 * Makes a qcow2 file at `path` whose backing file is `backing`, both absolute.
 *
 * @throws CliError in qemu-img's words, or that it is not installed
 */
export async function createOverlay(
  backing: { path: string; format: "raw" | "qcow2" },
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const args = ["create", "-q", "-f", "qcow2", "-b", backing.path, "-F", backing.format, path];
  try {
    await promisify(execFile)("qemu-img", args, { signal, timeout: timeoutMs });
  } catch (error) {
    if (signal.aborted) throw error;
    if (systemCodeIn(error) === "ENOENT") {
      throw new CliError("qemu-img is not installed; on Debian: apt-get install qemu-utils", { cause: error });
    }
    const said = String((error as { stderr?: string }).stderr ?? "").trim();
    throw new CliError(`qemu-img cannot make the overlay: ${said || (error as Error).message}`, { cause: error });
  }
}

/** The command that boots from a qcow2 file. */
export function qemuCommand(path: string): string {
  // A comma ends the value of a -drive option unless it is doubled.
  const drive = `file=${path.replaceAll(",", ",,")},format=qcow2,if=virtio`;
  return `qemu-system-x86_64 -accel kvm -m 2048 -drive ${quoted(drive)}`;
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
