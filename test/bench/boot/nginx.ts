/** nginx on the seeder, as an HTTP origin that counts its requests. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requireTool, run } from "../../fixtures/tools.ts";
import { LabProcess } from "../swarm/lab-process.ts";
import type { Scene } from "./scene.ts";

const port = 8080;
const startTimeoutMs = 30_000;

export interface HttpOrigin extends AsyncDisposable {
  /** As nodes reach it, with a slash at its end. */
  url: string;
  requests(): Promise<number>;
}

/** Serves the directory in which the disks are. */
export async function startNginx({ lab, directory, disk }: Scene): Promise<HttpOrigin> {
  for (const tool of ["nginx", "curl"] as const) requireTool(tool);
  const home = join(directory, "nginx");
  mkdirSync(join(home, "tmp"), { recursive: true });
  const { seeder } = lab.plan;
  const logPath = join(home, "access.log");
  writeFileSync(join(home, "nginx.conf"), configOf(seeder.address, dirname(disk.rawPath)));
  const server = new LabProcess(
    "nginx",
    lab.commandOn(seeder, ["nginx", "-p", home, "-c", join(home, "nginx.conf"), "-e", "stderr"]),
  );
  const url = `http://${seeder.address}:${port}/`;
  const [command, ...args] = lab.commandOn(seeder, ["curl", "--silent", "--output", "/dev/null", "--head", url]);
  const deadlineMs = performance.now() + startTimeoutMs;
  for (;;) {
    const answered = await run(command as string, args).catch(() => undefined);
    if (answered) break;
    if (performance.now() > deadlineMs) throw server.failure("does not answer");
    await sleep(50);
  }
  const lines = () => readFileSync(logPath, "latin1").split("\n").length - 1;
  const before = lines();
  return {
    url,
    requests: async () => lines() - before,
    // The lab would end it, its workers with it, but only when the next case is over.
    [Symbol.asyncDispose]: async () => {
      server.child.kill("SIGTERM");
      await server.done();
    },
  };
}

function configOf(address: string, root: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path tmp/${kind};`,
  );
  return `
user root;
daemon off;
worker_processes 1;
pid tmp/nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
  access_log access.log;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  ${temporary.join("\n  ")}
  server { listen ${address}:${port}; root ${root}; }
}
`;
}
