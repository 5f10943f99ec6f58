import { resolve } from "node:path";
import { Problem } from "../../daemon/problem.ts";
import type { AgentConfig } from "../config.ts";
import { endpointFrom } from "../endpoint.ts";
import type { TcpListen } from "./messages.ts";

/**
 * Where disks are served over TCP, as configured; undefined if nowhere.
 *
 * @throws Problem if the settings do not fit each other
 */
export function tcpListenFrom({ listen, tls }: AgentConfig["disk"]): TcpListen | undefined {
  const { certPath, keyPath, caPath } = tls;
  if (listen === "") {
    if (certPath === "" && keyPath === "" && caPath === "") return undefined;
    throw new Problem("invalid", "disk.tls is for disks over TCP: set disk.listen, too, or leave disk.tls empty");
  }
  const endpoint = endpointFrom(listen);
  if (!endpoint) throw new Problem("invalid", `disk.listen is ${listen}: write HOST:PORT, with a port from 1 to 65535`);
  if ((certPath === "") !== (keyPath === "")) {
    throw new Problem("invalid", "disk.tls.certPath and disk.tls.keyPath go together: set both or neither");
  }
  if (certPath === "" && caPath !== "") {
    throw new Problem("invalid", "disk.tls.caPath needs disk.tls.certPath and disk.tls.keyPath");
  }
  if (certPath === "") return endpoint;
  const tlsFiles = { certPath: resolve(certPath), keyPath: resolve(keyPath) };
  return { ...endpoint, tls: caPath === "" ? tlsFiles : { ...tlsFiles, caPath: resolve(caPath) } };
}
