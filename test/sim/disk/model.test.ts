/** A few seeds of what `npm run model` runs by the thousand. */
import { expect, test } from "vitest";
import { runModel } from "./model-run.ts";

const seeds = Array.from({ length: 20 }, (_, at) => at + 1);
/** Room that a paused fetch had lost with its bytes was given to another, and both came over the quota. */
const seedsThatFailed = [179, 962];

test("whatever is done to an agent and its disk, what is complete is right and stays, and all can be had again", async () => {
  for (const seed of [...seeds, ...seedsThatFailed]) {
    const { violations } = await runModel(seed);
    expect({ seed, violations }).toEqual({ seed, violations: [] });
  }
});

test("the same seed does the same things", async () => {
  expect(await runModel(7)).toEqual(await runModel(7));
});
