/** How a VM is given an attached disk: QEMU's command line and libvirt's XML. Pure. */
import { basename } from "node:path";
import type { Disk } from "../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import { optionValue, qemuFormat, quoted } from "../files/overlay.ts";

/** How long QEMU waits for an agent that is restarted before a guest's read fails. */
const reconnectSeconds = 300;

/**
 * What the VM writes to, and how its backing file is named there:
 * - none: writes are thrown away
 * - file: an overlay over the image's local file, which the running QEMU knows as the NBD export until it is handed over
 * - nbd: an overlay over the NBD export, for good
 */
export type VmOverlay = { kind: "none" } | { kind: "file" | "nbd"; path: string };

export interface VmOptions {
  /** As QEMU takes it: "2048", "2G". */
  memory: string;
  /** QMP socket to be made; empty: none. */
  qmpPath: string;
}

/** A disk's name after a file's, as far as that can be one; empty otherwise, and the agent makes one. */
export function diskNameFor(path: string): string {
  const name = basename(path).replace(/\.(qcow2|img|raw)$/, "");
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) ? name : "";
}

/** The command that starts a VM from the disk. */
export function qemuCommandFor(disk: Disk, overlay: VmOverlay, { memory, qmpPath }: VmOptions): string {
  const words = [
    ...["qemu-system-x86_64", "-accel", "kvm", "-m", memory],
    ...driveOptions(disk, overlay),
    ...(qmpPath === "" ? [] : ["-qmp", `unix:${optionValue(qmpPath)},server=on,wait=off`]),
  ];
  return words.map(quoted).join(" ");
}

/** Block nodes of an overlay that can be handed over, by the names that a handover looks for. */
export function blockNodes(disk: Disk, overlayPath: string): Record<string, unknown>[] {
  const name = (part: string) => `${disk.nodePrefix}-${part}`;
  const server = { type: "unix", path: disk.socketPath };
  const nbd = { driver: "nbd", "node-name": name("nbd"), server, export: disk.name, "read-only": true };
  return [
    { ...nbd, "reconnect-delay": reconnectSeconds },
    { driver: qemuFormat(disk.format), "node-name": name("base"), file: name("nbd"), "read-only": true },
    { driver: "file", "node-name": name("file"), filename: overlayPath },
    { driver: "qcow2", "node-name": name("overlay"), file: name("file"), backing: name("base") },
  ];
}

function driveOptions(disk: Disk, overlay: VmOverlay): string[] {
  if (overlay.kind === "file") {
    const nodes = blockNodes(disk, overlay.path).flatMap((node) => ["-blockdev", JSON.stringify(node)]);
    return [...nodes, "-device", `virtio-blk-pci,drive=${disk.nodePrefix}-overlay`];
  }
  if (overlay.kind === "nbd") {
    const reconnect = `backing.file.reconnect-delay=${reconnectSeconds}`;
    return ["-drive", `file=${optionValue(overlay.path)},format=qcow2,if=virtio,${reconnect}`];
  }
  const server = `file.server.type=unix,file.server.path=${optionValue(disk.socketPath)},file.export=${disk.name}`;
  const nbd = `driver=${qemuFormat(disk.format)},file.driver=nbd,${server},file.reconnect-delay=${reconnectSeconds}`;
  return ["-drive", `${nbd},if=virtio,snapshot=on`];
}

/** libvirt's `<disk>` of it. One without an overlay is read-only. */
export function libvirtDisk(disk: Disk, overlay: VmOverlay): string {
  const source = (indent: string) => [
    `${indent}<source protocol='nbd' name='${escaped(disk.name)}'>`,
    `${indent}  <host transport='unix' socket='${escaped(disk.socketPath)}'/>`,
    `${indent}  <reconnect delay='${reconnectSeconds}'/>`,
    `${indent}</source>`,
  ];
  const format = qemuFormat(disk.format);
  const target = "  <target dev='vda' bus='virtio'/>";
  if (overlay.kind === "none") {
    return [
      "<disk type='network' device='disk'>",
      `  <driver name='qemu' type='${format}'/>`,
      ...source("  "),
      target,
      "  <readonly/>",
      "</disk>",
    ].join("\n");
  }
  return [
    "<disk type='file' device='disk'>",
    "  <driver name='qemu' type='qcow2'/>",
    `  <source file='${escaped(overlay.path)}'/>`,
    "  <backingStore type='network'>",
    `    <format type='${format}'/>`,
    ...source("    "),
    "    <backingStore/>",
    "  </backingStore>",
    target,
    "</disk>",
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("'", "&apos;");
}
