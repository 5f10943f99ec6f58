import { resolve } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import {
  AttachDiskResponseSchema,
  DetachDiskResponseSchema,
  type Disk,
  HandOverDiskResponseSchema,
  ListDisksResponseSchema,
} from "../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import { CliError, usageError } from "../cli-error.ts";
import { agentOf, type Context, errStyle, type GlobalOptions } from "../context.ts";
import { answerMsMax } from "../daemons.ts";
import { createOverlayAhead, qemuFormat } from "../files/overlay.ts";
import { makeFile, type TargetFile, targetFileAt } from "../files/target-file.ts";
import { incompleteAnswer, showReport, showResult } from "../report.ts";
import { disksTable } from "../views/disks.ts";
import { diskNameFor, libvirtDisk, qemuCommandFor, type VmOverlay } from "../views/vm-disk.ts";
import { addMountCommands } from "./disk-mount.ts";

const call = { timeoutMs: answerMsMax };
/** QEMU finishes what is being read first. */
const handoverCall = { timeoutMs: 120_000 };
const complete = { alwaysEmitImplicit: true };
const memoryDefault = "2G";

interface AttachOptions extends GlobalOptions {
  overlay?: string;
  backing?: "file" | "nbd";
  name?: string;
  memory: string;
  qmp?: string;
  force?: boolean;
}

/** `disk attach|detach|list|handover|mount|unmount`. */
export function addDiskCommands(program: Command, context: Context): void {
  const disk = program.command("disk").summary("disks that VMs boot from while their images arrive");
  disk
    .command("attach")
    .summary("serve an image as a disk over NBD at once; prints its URI")
    .description(
      "Serves an image as a read-only disk, whether or not any of it is here: what a VM reads first comes first. Prints " +
        "the disk's NBD URI, and how to start a VM from it. The image stays on this node until the disk is detached.",
    )
    .argument("<image>", "name or sha256")
    .option("--name <name>", "the disk's name; otherwise made of the overlay's or the image's")
    .option("--overlay <path>", "make a qcow2 overlay at PATH, for a VM to write to")
    .addOption(
      new Option(
        "--backing <kind>",
        "what the overlay's header names: the image's file, so that the VM can be handed over and the overlay needs no " +
          "agent once the image is complete; or the NBD URI",
      ).choices(["file", "nbd"]),
    )
    .option("--qmp <socket>", "QMP socket of the VM: it is handed over by itself once the image is complete")
    .option("--memory <size>", "memory of the VM, in the lines that are printed", memoryDefault)
    .option("--force", "replace the file at PATH")
    .action((image: string, _options, command: Command) => attach(context, image, command.optsWithGlobals()));
  disk
    .command("detach")
    .summary("end a disk, so that its image may be evicted")
    .argument("<disk>", "the disk's name")
    .option("--force", "although a VM uses it")
    .action((name: string, _options, command: Command) => detach(context, name, command.optsWithGlobals()));
  disk
    .command("list")
    .summary("list the disks, and where what was read of them came from")
    .option("-w, --watch", "go on showing changes")
    .action((_options, command: Command) => list(context, command.optsWithGlobals()));
  disk
    .command("handover")
    .summary("have a running VM read the complete image's file itself, and no longer through the agent")
    .argument("<disk>", "the disk's name")
    .option("--qmp <socket>", "QMP socket of the VM; otherwise the one given to `disk attach`")
    .action((name: string, _options, command: Command) => handOver(context, name, command.optsWithGlobals()));
  addMountCommands(disk, context);
}

async function attach(context: Context, image: string, options: AttachOptions): Promise<void> {
  checkOptions(options);
  const target =
    options.overlay === undefined ? undefined : await targetFileAt(options.overlay, options.force ?? false);
  const qmpPath = options.qmp === undefined ? "" : resolve(options.qmp);
  const name = options.name ?? (target ? diskNameFor(target.path) : "");
  const { service } = agentOf(options);
  const request = { image, name, qmpPath, overlayPath: target?.path ?? "" };
  const answer = await service.attachDisk(request, { ...call, signal: context.signal });
  const { disk } = answer;
  if (!disk) throw incompleteAnswer("disk");
  const kind = options.backing ?? "file";
  const overlay: VmOverlay = target ? { kind, path: target.path } : { kind: "none" };
  if (target) await makeOverlay(context, options, disk, target, kind);
  const vm = { memory: options.memory, qmpPath };
  const lines = { qemu: qemuCommandFor(disk, overlay, vm), libvirt: libvirtDisk(disk, overlay) };
  showResult(
    context,
    options,
    { ...(toJson(AttachDiskResponseSchema, answer, complete) as object), ...lines },
    disk.uri,
  );
  if (options.json) return;
  for (const line of notesOn(disk, overlay, qmpPath)) context.err.write(`${line}\n`);
  context.err.write(`boot it with:\n${lines.qemu}\nor by libvirt with:\n${lines.libvirt}\n`);
}

function checkOptions({ overlay, backing, qmp, force, memory }: AttachOptions): void {
  if (overlay === undefined && (backing !== undefined || force)) {
    throw usageError("--backing and --force go with --overlay");
  }
  if (qmp !== undefined && (overlay === undefined || backing === "nbd")) {
    throw usageError("--qmp goes with --overlay and no --backing nbd: only such an overlay can be handed over");
  }
  if (!/^\d+[MG]?$/i.test(memory))
    throw usageError(`--memory "${memory}": write it as QEMU takes it, as in 2048 or 2G`);
}

/** Makes the overlay in its place; the disk goes again if that fails. */
async function makeOverlay(
  context: Context,
  options: GlobalOptions,
  disk: Disk,
  target: TargetFile,
  kind: "file" | "nbd",
): Promise<void> {
  const path = kind === "file" ? disk.imagePath : disk.uri;
  const backing = { path, format: qemuFormat(disk.format), virtualSizeBytes: disk.virtualSizeBytes };
  try {
    await makeFile(target, (aside) => createOverlayAhead(backing, aside, context.signal));
  } catch (error) {
    await agentOf(options)
      .service.detachDisk({ name: disk.name, force: true }, call)
      .catch(() => {});
    if (!context.signal.aborted) throw error;
    throw new CliError(`stopped; ${target.path} was not made`, { exitStatus: 130 });
  }
}

function notesOn(disk: Disk, overlay: VmOverlay, qmpPath: string): string[] {
  const kept = `disk ${disk.name} keeps the image on this node: \`bootswarm disk detach ${disk.name}\` once no VM uses it`;
  if (overlay.kind === "none") return [kept, "without --overlay, what the VM writes is thrown away when it ends"];
  const made = `an overlay for the VM's writes is at ${overlay.path}`;
  if (overlay.kind === "nbd") return [kept, made];
  const after = "once the image is complete, the overlay boots without the agent, as any other does";
  const handover =
    qmpPath === ""
      ? `hand a running VM over then with \`bootswarm disk handover ${disk.name} --qmp SOCKET\``
      : `a running VM is handed over by itself then, through ${qmpPath}`;
  return [kept, made, `${after}; ${handover}`];
}

async function detach(context: Context, name: string, options: GlobalOptions & { force?: boolean }): Promise<void> {
  const answer = await agentOf(options).service.detachDisk({ name, force: options.force ?? false }, call);
  showResult(context, options, toJson(DetachDiskResponseSchema, answer, complete), `detached ${name}`);
  const { overlayPath = "", imageNames = [], digest = "" } = answer.disk ?? {};
  if (overlayPath === "") return;
  const image = imageNames[0] ?? digest;
  const note = `${overlayPath} is nothing without the image: \`bootswarm pin ${image}\` while you need it`;
  context.err.write(`${errStyle(context).dim(note)}\n`);
}

async function list(context: Context, options: GlobalOptions & { watch?: boolean }): Promise<void> {
  const { service } = agentOf(options);
  await showReport(context, options, async () => {
    const answer = await service.listDisks({}, { ...call, signal: context.signal });
    return {
      json: toJson(ListDisksResponseSchema, answer, complete),
      sections: [
        { table: disksTable(answer.disks, context.now()), ifEmpty: "no disks; bootswarm disk attach IMAGE makes one" },
      ],
    };
  });
}

async function handOver(context: Context, name: string, options: GlobalOptions & { qmp?: string }): Promise<void> {
  const qmpPath = options.qmp === undefined ? "" : resolve(options.qmp);
  const answer = await agentOf(options).service.handOverDisk({ name, qmpPath }, handoverCall);
  const line = `${name} is handed over: its VM reads ${answer.disk?.imagePath}`;
  showResult(context, options, toJson(HandOverDiskResponseSchema, answer, complete), line);
}
