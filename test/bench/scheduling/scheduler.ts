/** The second half of a scheduler that filters, then weighs: which of the hosts with room. */
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { PlacementService } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import type { Random } from "../../sim/random.ts";
import type { Scheduling, Weighing } from "./scenarios.ts";

export interface Scheduler {
  /** Chooses one of the hosts, of which there is at least one. */
  choose(image: string, hosts: readonly string[]): Promise<string>;
  /** Told where a VM is started. */
  launched(image: string, host: string): Promise<void>;
}

/** @param seeder its API, asked for weights where the scenario has them */
export function schedulerFor(scheduling: Scheduling, seeder: Transport, random: Random): Scheduler {
  if (scheduling.kind === "random") {
    return { choose: async (_image, hosts) => random.pick(hosts), launched: async () => {} };
  }
  const { options, recordLaunches } = scheduling;
  const placement = createClient(PlacementService, seeder);
  return {
    choose: (image, hosts) => bestOf(placement, image, hosts, { ...options, seed: BigInt(random.word()) }),
    launched: async (image, host) => {
      if (recordLaunches) await placement.recordLaunch({ image, host });
    },
  };
}

async function bestOf(
  placement: Client<typeof PlacementService>,
  image: string,
  hosts: readonly string[],
  options: Weighing,
): Promise<string> {
  const answer = await placement.weighHosts({
    image,
    hosts: [...hosts],
    options: { ...options, count: 1, brief: true },
  });
  const best = answer.hosts[0];
  if (!best) throw new Error(`the seeder weighed none of ${hosts.length} hosts`);
  return best.host;
}
