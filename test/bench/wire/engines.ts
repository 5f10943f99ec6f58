/** Engines that are libraries: each has a script for both ends, which reports by itself. */
import { join } from "node:path";
import { python, requireLibtorrent } from "../../fixtures/tools.ts";
import { BenchChild } from "../child.ts";
import { type Contender, measure } from "./contender.ts";
import type { WireReport } from "./report.ts";

export const bootswarm = engine([process.execPath, join(import.meta.dirname, "bootswarm-end.ts")], {
  isComparable: true,
});
export const libtorrent = engine([python, join(import.meta.dirname, "libtorrent-end.py")], {
  isComparable: false,
  require: requireLibtorrent,
});
export const torrentStream = engine([process.execPath, join(import.meta.dirname, "torrent-stream-end.cjs")], {
  isComparable: false,
});

function engine(command: readonly string[], options: { isComparable: boolean; require?: () => void }): Contender {
  return {
    isComparable: options.isComparable,
    prepare: async (job) => {
      options.require?.();
      return async (targetPath) => {
        await using seed = new BenchChild([...command, "seed", job.torrentPath, job.dataPath]);
        const { port } = await seed.json<WireReport>("port");
        return await measure(job, seed.pid, async () => {
          await using leech = new BenchChild([...command, "leech", job.torrentPath, targetPath, String(port)]);
          const told = (await leech.json<WireReport>("seconds")) as Required<WireReport>;
          await leech.ended;
          return told;
        });
      };
    },
  };
}
