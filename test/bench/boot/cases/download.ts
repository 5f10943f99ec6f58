/** (b) The image is downloaded whole, then booted from: in its smallest form, a compressed qcow2. */
import { basename, join } from "node:path";
import { run } from "../../../fixtures/tools.ts";
import type { BootCase } from "../case.ts";
import { startNginx } from "../nginx.ts";

const downloadTimeoutMs = 1_800_000;

export const download: BootCase = {
  name: "download",
  title: "download the compressed qcow2, then boot",
  start: async (scene) => {
    const origin = await startNginx(scene);
    return {
      attach: async (host) => {
        const path = join(scene.directory, `${host.name}.qcow2`);
        const url = `${origin.url}${basename(scene.disk.qcow2Path)}`;
        const command = ["curl", "--silent", "--show-error", "--fail", "--output", path, url];
        const [program, ...args] = scene.lab.commandOn(host, command);
        await run(program as string, args, { timeoutMs: downloadTimeoutMs });
        return { uri: path, format: "qcow2" };
      },
      linkRequests: () => origin.requests(),
      [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose](),
    };
  },
};
