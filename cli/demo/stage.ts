import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DaemonProcess, type DaemonStart, startDaemon } from "./daemon-process.ts";

/** The demonstration's folder and daemons, and their end. */
export interface Stage {
  /** A temporary folder; everything is below it. */
  folder: string;
  start(start: Omit<DaemonStart, "logPath" | "signal" | "onSpawn">): Promise<DaemonProcess>;
  /** Ends all daemons in an orderly way and removes the folder. */
  clear(): Promise<void>;
  /** The same at once, for the very end of the process. */
  clearAtOnce(): void;
}

/** Opens an empty stage. Call `clear` in every case. */
export function openStage(signal: AbortSignal): Stage {
  const folder = mkdtempSync(join(tmpdir(), "bootswarm-demo-"));
  const daemons: Pick<DaemonProcess, "stop" | "kill">[] = [];
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  return {
    folder,
    start: (start) =>
      startDaemon({
        ...start,
        logPath: join(folder, `${start.name}.log`),
        signal,
        onSpawn: (daemon) => daemons.push(daemon),
      }),
    async clear() {
      await Promise.all(daemons.map((daemon) => daemon.stop()));
      daemons.length = 0;
      removeFolder();
    },
    clearAtOnce() {
      for (const daemon of daemons) daemon.kill();
      removeFolder();
    },
  };
}
