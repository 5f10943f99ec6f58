/** An agent is killed with SIGKILL at random moments; `npm run soak -- --kills 200` does it longer. */
import { expect, test } from "vitest";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { imageMiB, killAgain } from "./kill-loop.ts";

test("an agent killed at a dozen moments of a fetch loop ends with right images, and fetches little twice", async () => {
  const kills = 12;
  const report = await killAgain(await temporaryDirectory(), kills);
  expect(report.faults).toEqual([]);
  expect(report.kills).toBe(kills);
  expect(report.images).toBeGreaterThan(0);
  // Were a fetch to begin anew after each kill, it would be many images.
  expect(report.twiceBytes).toBeLessThan((kills * imageMiB * 1024 * 1024) / 8);
});
