/** qcow2 overlays: a VM's writes in a file of their own, over an image that stays as it is. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { CliError, systemCodeIn, usageError } from "../cli-error.ts";

const timeoutMs = 60_000;

/** What qemu-img calls an image's format. What nobody has recognised is taken as it is. @throws CliError for a boot image. */
export function qemuFormat(format: ImageFormat): "raw" | "qcow2" {
  if (format === ImageFormat.BOOT)
    throw usageError("this is a boot image, which is no disk; name the image that it is of");
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
  await runQemuImg(["create", "-q", "-f", "qcow2", "-b", backing.path, "-F", backing.format, path], signal);
}

/**
 * As `createOverlay`, over what need not be here yet: a file, or an NBD URI.
 *
 * @param virtualSizeBytes of the disk that a guest is to see
 */
export async function createOverlayAhead(
  backing: { path: string; format: "raw" | "qcow2"; virtualSizeBytes: bigint },
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const { format, virtualSizeBytes } = backing;
  const args = ["create", "-q", "-f", "qcow2", "-u", "-b", backing.path, "-F", format, path, String(virtualSizeBytes)];
  await runQemuImg(args, signal);
}

async function runQemuImg(args: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    await promisify(execFile)("qemu-img", args, { signal, timeout: timeoutMs });
  } catch (error) {
    if (signal.aborted) throw error;
    if (systemCodeIn(error) === "ENOENT") {
      throw new CliError("qemu-img is not installed; on Debian: apt-get install qemu-utils", { cause: error });
    }
    const said = String((error as { stderr?: string }).stderr ?? "").trim();
    const advice = /No space left/.test(said) ? "; free space there, or choose another path for the overlay" : "";
    throw new CliError(`qemu-img cannot make the overlay: ${said || (error as Error).message}${advice}`, {
      cause: error,
    });
  }
}

/** The command that boots from a qcow2 file. */
export function qemuCommand(path: string): string {
  return `qemu-system-x86_64 -accel kvm -m 2048 -drive ${quoted(`file=${optionValue(path)},format=qcow2,if=virtio`)}`;
}

/** A value in one of QEMU's options: a comma would end it unless it is doubled. */
export function optionValue(text: string): string {
  return text.replaceAll(",", ",,");
}

/** As a shell takes it for one word. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
