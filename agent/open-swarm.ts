import type { Log } from "../daemon/log.ts";
import { Problem, systemCodeOf } from "../daemon/problem.ts";
import type { Disk } from "../swarm/disk.ts";
import { Swarm } from "../swarm/swarm.ts";
import type { Endpoint } from "../swarm/types.ts";
import type { AgentConfig } from "./config.ts";
import { endpointFrom } from "./endpoint.ts";

/**
 * Opens the node's place in the swarm.
 *
 * @param knownNodes DHT nodes kept from the last run
 * @throws Problem naming the port that cannot be had, and the key that sets it.
 */
export async function openSwarm(
  config: AgentConfig,
  knownNodes: readonly Endpoint[],
  log: Log,
  disk: Disk,
): Promise<Swarm> {
  const { swarm, dht } = config;
  const configured = dht.bootstrap.map((text) => {
    const endpoint = endpointFrom(text);
    if (!endpoint) throw new Problem("invalid", `dht.bootstrap: "${text}" is no HOST:PORT`);
    return endpoint;
  });
  try {
    return await Swarm.open({
      ...swarm,
      zone: config.zone || undefined,
      dhtPort: dht.port,
      bootstrap: [...configured, ...knownNodes],
      log,
      disk,
    });
  } catch (error) {
    throw swarmProblem(error, config);
  }
}

function swarmProblem(error: unknown, { swarm, dht }: AgentConfig): Problem {
  // Node binds UDP ("bind") and listens on TCP ("listen").
  const isDht = (error as NodeJS.ErrnoException).syscall === "bind";
  const where = isDht ? `${swarm.host}:${dht.port} (UDP, DHT)` : `${swarm.host}:${swarm.port} (TCP, peers)`;
  const key = isDht ? "dht.port" : "swarm.port";
  switch (systemCodeOf(error)) {
    case "EADDRINUSE":
      return new Problem("conflict", `${where} is in use by another process; stop it, or set ${key} to another port`, {
        cause: error,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new Problem("invalid", `${swarm.host} is no address of this machine; set swarm.host to one that is`, {
        cause: error,
      });
    case "EACCES":
      return new Problem("invalid", `not allowed to use ${where}; set ${key} to a port above 1023`, { cause: error });
    default:
      return new Problem("unavailable", `cannot use ${where}`, { cause: error });
  }
}
