/** (a) The whole image is on the node: what all others are compared with. */
import type { BootCase } from "../case.ts";

export const localFile: BootCase = {
  name: "local",
  title: "local file",
  start: async ({ disk }) => ({
    attach: async () => ({ uri: disk.rawPath, format: "raw" }),
    [Symbol.asyncDispose]: async () => {},
  }),
};
