import { defineConfig } from "vitest/config";

/** What is waited for comes within a second on an idle machine; a busy one has many times that. */
const patience = { poll: { timeout: 20_000 } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/{unit,contract,sim}/**/*.test.ts"],
          setupFiles: ["test/fixtures/property-seed.ts"],
          expect: patience,
          // None takes more than a few seconds on an idle machine. This ends one that hangs, and judges no machine's speed:
          // with load enough, some that have a seeder and agents in their process took longer than half a minute.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Two cores: sockets and hashing in more workers than that only wait for each other.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/{interop,system}/**/*.test.ts"],
          expect: patience,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
