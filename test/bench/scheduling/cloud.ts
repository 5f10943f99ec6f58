/** A cloud in the lab for one run: a seeder with the images, agents with nothing but warm code, and a way to the seeder. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Transport } from "@connectrpc/connect";
import type { BenchImage, ContenderOptions, SeederPayload } from "../swarm/contender.ts";
import { type LabAgent, relayToSeeder, seederPayload, startDaemons } from "../swarm/daemons.ts";
import type { Lab } from "../swarm/lab.ts";
import type { Scenario } from "./scenarios.ts";
import { bringImage } from "./vm.ts";

/** Longest that starting all processes, publishing and warming up may take. */
const startTimeoutMs = 300_000;

export interface CloudOptions {
  lab: Lab;
  scenario: Scenario;
  images: BenchImage[];
  /** Fetched and removed on every node before the trace begins, so that no VM waits for an agent's code to be compiled. */
  warmUp: BenchImage;
  seederSettings: string[];
  agentSettings: string[];
  /** The cloud's files are made, and removed, below it. */
  directory: string;
  logDirectory: string | undefined;
}

export interface Cloud extends AsyncDisposable {
  scenario: Scenario;
  agents: Map<string, LabAgent>;
  images: BenchImage[];
  /** The seeder's API. */
  seeder: Transport;
  seederPid: number;
  seederPayload(): Promise<SeederPayload>;
}

export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const { lab, scenario, images, warmUp } = options;
  const directory = mkdtempSync(join(options.directory, "cloud-"));
  const logDirectory = options.logDirectory && join(options.logDirectory, scenario.key);
  if (logDirectory) mkdirSync(logDirectory, { recursive: true });
  const started = new AsyncDisposableStack();
  started.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  try {
    const signal = AbortSignal.timeout(startTimeoutMs);
    const lasting: Omit<ContenderOptions, "signal"> = {
      lab,
      images,
      directory,
      logDirectory,
      agents: {
        settings: [...options.agentSettings, ...scenario.agentSettings],
        seederSettings: [...options.seederSettings, ...scenario.seederSettings],
        noDht: false,
        checkout: join(import.meta.dirname, "../../.."),
        knowZones: true,
        compileCache: join(options.directory, "compile-cache"),
        warmUp,
      },
    };
    const daemons = started.use(await startDaemons({ ...lasting, signal }, scenario.torrents));
    await Promise.all(daemons.agents.map((agent) => warm(agent, warmUp.name, signal)));
    const relay = started.use(await relayToSeeder({ ...lasting, signal }));
    const running = started.move();
    return {
      scenario,
      agents: new Map(daemons.agents.map((agent) => [agent.host.name, agent])),
      images,
      seeder: relay.transport,
      seederPid: daemons.seeder.pid,
      seederPayload: () => seederPayload({ ...lasting, signal: AbortSignal.timeout(startTimeoutMs) }),
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** Makes the caches as empty as those of a new cloud. Its agents' code and their places in the DHT stay. */
export async function emptyCaches({ agents }: Cloud): Promise<void> {
  await Promise.all(
    [...agents.values()].map(async ({ service }) => {
      const { images } = await service.listImages({});
      for (const { digest } of images) await service.removeImage({ image: digest, force: true });
    }),
  );
}

async function warm(agent: LabAgent, image: string, signal: AbortSignal): Promise<void> {
  await bringImage(agent, image, signal);
  await agent.service.removeImage({ image }, { signal });
}
