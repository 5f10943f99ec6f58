/** What attachments ask of a running QEMU. */
import { connect } from "node:net";
import { systemCodeOf } from "../../../daemon/problem.ts";
import type { HandOver } from "../attachment.ts";
import { handOverBy } from "./handover.ts";
import { connectQmp } from "./qmp-client.ts";

/** Has a running QEMU read an image's file in place of its export. */
export const handOverDisk: HandOver = async (target, qmpPath, signal) => {
  const qmp = await connectQmp(qmpPath, signal);
  try {
    await handOverBy(qmp, target, qmpPath);
  } finally {
    qmp.close();
  }
};

/** Whether something answers at a QMP socket, be it that it serves somebody else. Never rejects. */
export function isQemuRunning(qmpPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(qmpPath);
    const tell = (isRunning: boolean) => {
      socket.destroy();
      resolve(isRunning);
    };
    // Its queue of those that wait to be served is full: QEMU's is, at two.
    const isBusy = (error: Error) => systemCodeOf(error) === "EAGAIN";
    socket.once("connect", () => tell(true)).once("error", (error) => tell(isBusy(error)));
  });
}
