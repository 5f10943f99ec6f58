import { dirname } from "node:path";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { Serial } from "../../daemon/serial.ts";
import { wait } from "../clock.ts";
import type { AttachmentState, AttachmentsOptions, AttachmentView, AttachRequest } from "./attachment.ts";
import { checkFormat, checkPath, newId, nodePrefixOf } from "./attachment-checks.ts";
import { attachmentNameOf, checkAttachmentName } from "./attachment-name.ts";
import { type AttachmentRecord, removeAttachment, saveAttachment } from "./attachment-records.ts";
import { makeSocketDirectory, socketPathFor } from "./export-socket.ts";
import type { ExportStats } from "./messages.ts";

/** Attached disks: each is a socket, a file and a place in memory; far more than a node has VMs. */
const attachmentsMax = 1_000;
/** How often is looked whether something is to be done, and how long after a failure it is tried again. */
const lookIntervalMs = 1_000;
const retryMs = 10_000;

interface Attached {
  record: AttachmentRecord;
  state: AttachmentState;
  error: string;
  uri: string;
  tcpUri: string;
  /** One change of it at a time. */
  serial: Serial;
  release: () => void;
  unuse: (() => void) | undefined;
  lastStats: ExportStats | undefined;
  /** When it is looked at next, for what it may lack. */
  retryAtMs: number;
}

/**
 * The images that are attached as disks. Each is written down before its address is told, holds its image from then on,
 * and has the same address after a restart, so that a VM's QEMU finds it again.
 */
export class Attachments {
  readonly #options: AttachmentsOptions;
  readonly #attached = new Map<string, Attached>();
  /** Names that are being attached. */
  readonly #coming = new Set<string>();

  /** Holds the images of the disks that were attached when the agent last ran; `open` serves them. */
  constructor(options: AttachmentsOptions, records: readonly AttachmentRecord[]) {
    this.#options = options;
    for (const record of records) this.#hold(record);
  }

  get count(): number {
    return this.#attached.size;
  }

  /** All disks, by name. */
  list(): AttachmentView[] {
    return [...this.#attached.values()]
      .map((attached) => this.#view(attached))
      .sort((a, b) => (a.record.name < b.record.name ? -1 : 1));
  }

  /** Serves what was attached when the agent last ran. What cannot be served is tried again. Never rejects. */
  async open(): Promise<void> {
    await Promise.all([...this.#attached.values()].map((attached) => this.#openOrFail(attached)));
  }

  /**
   * Serves an image as a disk, whether or not any of it is here.
   *
   * @throws Problem of `Images.ensure`; "invalid"; "already-exists" if the name is taken; "exhausted".
   */
  async attach(request: AttachRequest): Promise<AttachmentView> {
    const id = newId([...this.#attached.values()].map(({ record }) => record.id));
    if (request.name !== "") checkAttachmentName(request.name);
    for (const path of [request.overlayPath, request.mountPath, request.qmpPath]) checkPath(path);
    if (this.#attached.size + this.#coming.size >= attachmentsMax) {
      throw new Problem("exhausted", `${attachmentsMax} disks are attached already; detach some that no VM uses`);
    }
    const name = request.name || attachmentNameOf(request.image, id);
    this.#checkFree(name);
    const socketPath = socketPathFor(this.#options.place.directory, name);
    this.#coming.add(name);
    try {
      const { images, now } = this.#options;
      const { overlayPath, mountPath, qmpPath } = request;
      let attached: Attached | undefined;
      await images.ensure(request.image, "demand", {
        check: checkFormat,
        take: async ({ record: { digest } }) => {
          const made = { version: 1, id, name, digest, socketPath, attachedAt: now().toISOString() } as const;
          const record = { ...made, overlayPath, mountPath, qmpPath, handedOverAt: null };
          await saveAttachment(this.#layout, record);
          attached = this.#hold(record);
        },
      });
      await this.#openOrUndo(attached as unknown as Attached);
      return this.#view(attached as unknown as Attached);
    } finally {
      this.#coming.delete(name);
    }
  }

  /**
   * Ends a disk.
   *
   * @param force whether a VM that uses it is left without
   * @returns as it was last
   * @throws Problem "not-found"; "conflict" if a VM uses it.
   */
  detach(name: string, force: boolean): Promise<AttachmentView> {
    const attached = this.#require(name);
    return attached.serial.run(async () => {
      const last = this.#view(this.#require(name));
      if (!force) await this.#checkUnused(last);
      if (attached.state === "serving") await this.#options.exports.close(attached.record.id);
      await removeAttachment(this.#layout, attached.record);
      this.#drop(attached);
      return last;
    });
  }

  /**
   * Has the disk's running QEMU read the image's file itself, and ends the export. Nothing is done twice.
   *
   * @param qmpPath empty: as given before
   * @throws Problem "not-found"; "conflict" while the image is not complete; of QEMU, which then goes on as before.
   */
  handOver(name: string, qmpPath: string, signal: AbortSignal): Promise<AttachmentView> {
    checkPath(qmpPath);
    const attached = this.#require(name);
    return attached.serial.run(async () => {
      await this.#handOver(this.#requireSame(attached), qmpPath || attached.record.qmpPath, signal);
      return this.#view(attached);
    });
  }

  /** Does what is due until the signal aborts: what has failed anew, and handovers. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const tending = new Set<Promise<void>>();
    while (!signal.aborted) {
      for (const attached of this.#attached.values()) {
        if (clock.now() < attached.retryAtMs) continue;
        // One that takes its time keeps no other waiting.
        attached.retryAtMs = Number.POSITIVE_INFINITY;
        const tended = this.#tend(attached, signal).finally(() => tending.delete(tended));
        tending.add(tended);
      }
      await wait(clock, lookIntervalMs, signal).catch(() => {});
    }
    await Promise.all(tending);
  }

  get #layout() {
    return this.#options.cache.layout;
  }

  /** Does what a disk lacks, if anything. Never rejects. */
  async #tend(attached: Attached, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let delayMs = 0;
    try {
      if (!(await this.#supply(attached, signal))) delayMs = retryMs;
      if (attached.state !== "failed") attached.error = "";
    } catch (error) {
      delayMs = retryMs;
      if (signal.aborted || attached.error === messageOf(error)) return;
      attached.error = messageOf(error);
      log.warn({ disk: attached.record.name, error: attached.error }, "a disk needs something that fails");
    } finally {
      attached.retryAtMs = clock.now() + delayMs;
    }
  }

  /** @returns false if it is not to be looked at again at once */
  async #supply(attached: Attached, signal: AbortSignal): Promise<boolean> {
    const { cache, exports, fetches, images, isRunning } = this.#options;
    const { id, digest } = attached.record;
    if (cache.get(digest)?.complete !== true && !fetches.get(digest)) {
      // Also where the fetch has failed, or was cancelled: as long as a VM may read it, it is wanted.
      await images.ensure(digest, "demand");
      return false;
    }
    return attached.serial.run(async () => {
      if (this.#attached.get(attached.record.name) !== attached) return true;
      if (attached.state === "failed") await this.#openOrFail(attached);
      const { qmpPath } = attached.record;
      const isComplete = cache.get(digest)?.complete === true;
      const isDue = isComplete && qmpPath !== "" && attached.state === "serving" && !exports.isRecorded(id);
      // Until its VM has been started there is nothing to hand over.
      if (isDue && (await isRunning(qmpPath))) await this.#handOver(attached, qmpPath, signal);
      return attached.state !== "failed";
    });
  }

  async #handOver(attached: Attached, qmpPath: string, signal: AbortSignal): Promise<void> {
    const { cache, exports, now, log, handOver } = this.#options;
    const { record } = attached;
    if (attached.state === "handed-over") return;
    const { name } = record;
    if (qmpPath === "") throw new Problem("invalid", `no QMP socket is known for "${name}"; give it with --qmp`);
    const entry = cache.get(record.digest);
    if (!entry?.complete) {
      throw new Problem("conflict", `the image of "${name}" is not complete yet; see \`bootswarm fetches\``);
    }
    const format = entry.record.format === "qcow2" ? "qcow2" : "raw";
    // Before it begins: after a crash in the middle it is gone on with.
    if (qmpPath !== record.qmpPath) await this.#change(attached, { qmpPath });
    const nodePrefix = nodePrefixOf(record);
    await handOver({ name, nodePrefix, imagePath: entry.paths.data, format }, qmpPath, signal);
    attached.lastStats = exports.statsOf(record.id);
    await exports.close(record.id);
    attached.state = "handed-over";
    attached.error = "";
    attached.unuse?.();
    attached.unuse = undefined;
    await this.#change(attached, { handedOverAt: now().toISOString() }).catch((error: unknown) => {
      // After a restart it is found to be done.
      log.warn({ disk: name, error: messageOf(error) }, "cannot write down that a disk was handed over");
    });
    log.info({ disk: name, digest: record.digest, qmp: qmpPath }, "a disk was handed over to its VM");
  }

  async #change(attached: Attached, change: Partial<AttachmentRecord>): Promise<void> {
    const record = { ...attached.record, ...change };
    await saveAttachment(this.#layout, record);
    attached.record = record;
  }

  async #openOrUndo(attached: Attached): Promise<void> {
    try {
      await attached.serial.run(() => this.#open(attached));
      attached.retryAtMs = 0;
    } catch (error) {
      await removeAttachment(this.#layout, attached.record).catch(() => {});
      this.#drop(attached);
      throw error;
    }
  }

  async #openOrFail(attached: Attached): Promise<void> {
    if (attached.state === "handed-over") {
      attached.retryAtMs = 0;
      return;
    }
    const { log, clock } = this.#options;
    try {
      await this.#open(attached);
      attached.retryAtMs = 0;
    } catch (error) {
      const isNews = attached.error !== messageOf(error);
      attached.error = messageOf(error);
      attached.retryAtMs = clock.now() + retryMs;
      if (isNews) log.error({ disk: attached.record.name, error: attached.error }, "cannot serve an attached disk");
    }
  }

  async #open(attached: Attached): Promise<void> {
    const { exports, readable, place, readTimeoutMs } = this.#options;
    const { id, name, digest, socketPath } = attached.record;
    if (dirname(socketPath) === place.directory) await makeSocketDirectory(place);
    attached.unuse ??= readable.use(digest);
    const { uri, tcpUri = "" } = await exports.open({
      id,
      name,
      digest,
      listen: { socketPath, groupId: place.groupId },
      readTimeoutMs,
    });
    attached.uri = uri;
    attached.tcpUri = tcpUri;
    attached.state = "serving";
    attached.error = "";
  }

  #hold(record: AttachmentRecord): Attached {
    const state = record.handedOverAt === null ? "failed" : "handed-over";
    const release = this.#options.inUse.hold(record.digest, `disk ${record.name}`, true);
    const attached: Attached = {
      ...{ record, state, release, error: "", uri: "", tcpUri: "", serial: new Serial() },
      ...{ unuse: undefined, lastStats: undefined, retryAtMs: Number.POSITIVE_INFINITY },
    };
    this.#attached.set(record.name, attached);
    return attached;
  }

  #drop(attached: Attached): void {
    this.#attached.delete(attached.record.name);
    attached.unuse?.();
    attached.release();
  }

  #require(name: string): Attached {
    const attached = this.#attached.get(name);
    if (attached) return attached;
    throw new Problem("not-found", `no disk "${name}" is attached; \`bootswarm disk list\` shows those that are`);
  }

  /** @throws Problem "not-found" if it has been detached meanwhile. */
  #requireSame(attached: Attached): Attached {
    return this.#require(attached.record.name) === attached ? attached : this.#require("");
  }

  #checkFree(name: string): void {
    const there = this.#attached.get(name);
    if (!there && !this.#coming.has(name)) return;
    const what = there
      ? `: ${this.#options.cache.get(there.record.digest)?.record.names[0] ?? there.record.digest}`
      : "";
    throw new Problem(
      "already-exists",
      `a disk "${name}" is attached already${what}; choose another name, or detach it`,
    );
  }

  async #checkUnused({ record, state, stats }: AttachmentView): Promise<void> {
    const { name, qmpPath } = record;
    if (state === "handed-over") {
      if (!(await this.#options.isRunning(qmpPath))) return;
      const why = `a VM that runs (QMP socket ${qmpPath}) reads the image's file`;
      throw new Problem("conflict", `disk "${name}" is in use: ${why}; shut the VM down first, or force it`);
    }
    const count = stats?.connections ?? 0;
    if (count === 0) return;
    const why = count === 1 ? "1 NBD client is connected" : `${count} NBD clients are connected`;
    throw new Problem(
      "conflict",
      `disk "${name}" is in use: ${why}; shut the VM down or hand it over first, or force it`,
    );
  }

  #view(attached: Attached): AttachmentView {
    const { cache, exports, fetches } = this.#options;
    const { record, state, error, uri, tcpUri, lastStats } = attached;
    const stats = state === "serving" ? exports.statsOf(record.id) : lastStats && { ...lastStats, connections: 0 };
    return {
      record,
      state,
      error: error || exports.faultOf(record.id) || (fetches.get(record.digest)?.view().error ?? ""),
      uri,
      tcpUri,
      nodePrefix: nodePrefixOf(record),
      entry: cache.get(record.digest),
      stats,
    };
  }
}
