/** The thread that serves disks: NBD's sockets and the images' files, away from the swarm and its garbage. */
import { parentPort } from "node:worker_threads";
import { systemClock } from "../../swarm/system-clock.ts";
import { DiskService } from "./disk-service.ts";
import type { ToDiskWorker } from "./messages.ts";

const port = parentPort;
if (!port) throw new Error("disk-worker.ts runs as a worker thread only");

const service = new DiskService((message) => port.postMessage(message), systemClock);
port.on("message", (message: ToDiskWorker) => service.handle(message));
