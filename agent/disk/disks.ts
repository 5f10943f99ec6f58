/** The wiring of all that is about disks: what serves them, what they read, and which are attached. */
import { join } from "node:path";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import { isLoopback } from "../../swarm/endpoint.ts";
import type { Clock } from "../../swarm/types.ts";
import { Boots, type BootsOptions } from "../boot/boots.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import type { AgentConfig } from "../config.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import type { ReadableImages } from "./attachment.ts";
import { loadAttachments } from "./attachment-records.ts";
import { Attachments } from "./attachments.ts";
import type { Demand } from "./demand.ts";
import { type DiskEvents, DiskHost } from "./disk-host.ts";
import { socketPlaceFrom } from "./export-socket.ts";
import { ExportTotals } from "./export-totals.ts";
import type { ExportSpec, FromDiskWorker } from "./messages.ts";
import type { DiskMetrics } from "./metrics.ts";
import { handOverDisk, isQemuRunning } from "./qmp/running-vm.ts";
import { ReadFailures } from "./read-failures.ts";
import { HostedImages } from "./readable-images.ts";
import { tcpListenFrom } from "./tcp-listen.ts";

export interface DisksOptions {
  config: AgentConfig["disk"];
  demand: Demand;
  metrics: DiskMetrics;
  boot: Pick<BootsOptions, "config" | "seeders" | "node" | "catalog" | "repairs" | "swarm" | "random">;
  cache: ImageCache;
  images: Images;
  fetches: Fetches;
  inUse: InUse;
  clock: Clock;
  now: () => Date;
  log: Log;
}

export interface Disks {
  attachments: Attachments;
  totals: ExportTotals;
  boots: Boots;
  /** Goes on until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** A disk is served so soon after it was attached, and no sooner after a restart of the agent. */
const newMsMax = 5_000;

/**
 * Takes up the attached disks: their images are held from now on. `attachments.open` serves them.
 *
 * @throws Problem if the group that may open the sockets is not there.
 */
export async function openDisks(options: DisksOptions): Promise<Disks> {
  const { config, demand, metrics, cache, fetches, clock, log } = options;
  const ownDirectory = join(cache.layout.directory, "nbd");
  const records = await loadAttachments(cache.layout, log);
  const place = await socketPlaceFrom(
    config.socketDirectory || ownDirectory,
    config.socketDirectory === "",
    String(config.socketGroup),
  );
  const totals = new ExportTotals();
  const events: DiskEvents = {
    demand: (digest, ranges) => demand.demand(digest, ranges),
    served: (_digest, waitedMs) => metrics.demandServed(waitedMs),
    readFailed: (event) => failures.note(event, host.exportOf(event.id)),
    lost: (event) => void repairLost(event, options),
    bootImageBad: (event) => void boots.images.bad(event),
    stats: ({ exports, boot }) => {
      totals.note(exports);
      for (const each of exports) {
        const digest = host.exportOf(each.id)?.digest;
        if (digest !== undefined) boots.noteReads(digest, each);
      }
      boots.noteStats(boot);
    },
  };
  const failures = new ReadFailures({ demand, fetches, onTimeout: metrics.readTimedOut, clock, log });
  const tcp = tcpListenFrom(config);
  if (tcp && !tcp.tls && tcp.host !== "localhost" && !isLoopback(tcp.host)) {
    const advice = "set disk.tls, or keep the port on a trusted network";
    log.warn({ listen: config.listen }, `whoever reaches disk.listen may read the attached disks; ${advice}`);
  }
  const host = new DiskHost({ log, clock, events, tcp });
  const hosted = new HostedImages(cache, host, demand);
  const boots: Boots = new Boots({ ...options, ...options.boot }, host);
  // Of a VM that has found its disk again no boot is recorded.
  const isNew = (id: string) => {
    const attachedAt = attachments.list().find(({ record }) => record.id === id)?.record.attachedAt ?? "";
    return options.now().getTime() - Date.parse(attachedAt) < newMsMax;
  };
  const exports = {
    open: async (spec: ExportSpec) => {
      const isOfNewVm = isNew(spec.id);
      if (isOfNewVm) boots.exportOpening(spec);
      try {
        // The first read finds a boot image that is here.
        await boots.images.whenTold(spec.digest);
        const opened = await host.openExport(spec);
        if (isOfNewVm) boots.exportOpened(spec);
        return opened;
      } catch (error) {
        boots.exportClosed(spec.id);
        throw error;
      }
    },
    close: async (id: string) => {
      boots.exportClosed(id);
      await host.closeExport(id);
      totals.closed(id);
      failures.forget(id);
    },
    isRecorded: (id: string) => boots.isRecorded(id),
    statsOf: (id: string) => totals.of(id),
    faultOf: (id: string) => failures.of(id),
  };
  const qemu = { handOver: handOverDisk, isRunning: isQemuRunning };
  const attachments: Attachments = new Attachments(
    { ...options, ...qemu, exports, readable: readableOf(hosted, boots), place, readTimeoutMs: config.readTimeoutMs },
    records,
  );
  return {
    attachments,
    totals,
    boots,
    run: async (signal) => {
      await Promise.all([hosted.run(signal), attachments.run(signal)]);
    },
    close: async () => {
      boots.images.close();
      await boots.recorder.close();
      await host.close();
    },
  };
}

/** Has a piece that this machine's disk has lost fetched anew. Without pieces all of the image would be out of reach. */
async function repairLost(
  { digest, offset, error }: Extract<FromDiskWorker, { kind: "lost" }>,
  { cache, boot, log }: DisksOptions,
): Promise<void> {
  try {
    const info = await cache.metainfo(digest);
    if (!info) return;
    const piece = Math.floor(offset / info.pieceLengthBytes);
    await boot.repairs.begin(digest, { what: `piece ${piece} cannot be read: ${error}`, kind: "read", piece });
  } catch (fault) {
    log.warn({ digest, error: messageOf(fault) }, "cannot repair an image yet");
  }
}

/** An image is read through its file, and its boot image above that. */
function readableOf(hosted: HostedImages, boots: Boots): ReadableImages {
  return {
    use: (digest) => {
      const unuse = [hosted.use(digest), boots.images.use(digest)];
      return () => {
        for (const end of unuse) end();
      };
    },
  };
}
