import type { Log } from "../daemon/log.ts";
import { Problem, systemCodeOf } from "../daemon/problem.ts";
import { Swarm } from "../swarm/swarm.ts";
import type { Endpoint } from "../swarm/types.ts";
import type { SeederConfig } from "./config.ts";

/**
 * Opens the seeder's place in the swarm.
 *
 * @throws Problem "conflict" if a port is taken, "invalid" if the address is not this machine's.
 */
export async function openSwarm(config: SeederConfig, log: Log): Promise<Swarm> {
  const { host, port, connectionsMax, uploadBytesPerSecondMax } = config.swarm;
  try {
    return await Swarm.open({
      host,
      port,
      zone: config.zone || undefined,
      dhtPort: config.dht.port,
      bootstrap: config.dht.bootstrap.map(endpointFrom),
      connectionsMax,
      uploadBytesPerSecondMax,
      log,
    });
  } catch (error) {
    throw swarmProblem(error, config);
  }
}

function swarmProblem(error: unknown, { swarm: { host, port }, dht }: SeederConfig): unknown {
  switch (systemCodeOf(error)) {
    case "EADDRINUSE": {
      const isUdp = (error as NodeJS.ErrnoException).syscall === "bind";
      const which = isUdp ? `UDP port ${dht.port} of the DHT` : `TCP port ${port} for peers`;
      const key = isUdp ? "dht.port" : "swarm.port";
      return new Problem(
        "conflict",
        `${which} on ${host} is in use by another process; stop it, or choose another port with --set ${key}=PORT`,
        { cause: error },
      );
    }
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new Problem("invalid", `swarm.host: ${host} is no address of this machine`, { cause: error });
    case "EACCES":
      return new Problem(
        "invalid",
        `not allowed to use ports ${port} (TCP) and ${dht.port} (UDP); choose ports above 1023 with --set swarm.port=PORT --set dht.port=PORT`,
        { cause: error },
      );
    default:
      return error;
  }
}

/** Reads HOST:PORT or [IPV6]:PORT; the configuration's schema has checked the form. */
function endpointFrom(text: string): Endpoint {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}
