/** Plain HTTP beside the engines: curl gets the file from nginx, or from our own origin. Nothing is checked on the way. */
import { createReadStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { request } from "undici";
import { python, requireTool } from "../../fixtures/tools.ts";
import { freePort } from "../../fixtures/torrents.ts";
import { BenchChild, startDaemon } from "../child.ts";
import { type Contender, measure, type Received } from "./contender.ts";

export const nginx: Contender = {
  isComparable: true,
  prepare: async (job) => {
    requireTool("nginx");
    requireTool("curl");
    return async (targetPath) => {
      const port = await freePort();
      const configPath = join(job.folder, "nginx.conf");
      writeFileSync(configPath, nginxConfig(port, join(job.dataPath, "..")));
      mkdirSync(join(job.folder, "tmp"), { recursive: true });
      await using server = new BenchChild(["nginx", "-p", job.folder, "-c", configPath]);
      const url = `http://127.0.0.1:${port}/data`;
      await untilAnswered(url, server);
      const measured = await measure(job, server.pid, () => download(url, targetPath));
      // Killed, the master would leave its worker behind.
      await server.end("SIGTERM");
      return measured;
    };
  },
};

export const origin: Contender = {
  isComparable: true,
  prepare: async (job) => {
    requireTool("curl");
    const settings = { dataDirectory: join(job.folder, "seeder"), "log.level": "info" };
    const { process: publisher, url } = await startDaemon("seeder", settings);
    try {
      await publish(url, job.dataPath, job.bytes);
    } finally {
      await publisher.end("SIGTERM");
    }
    return async (targetPath) => {
      const seeder = await startDaemon("seeder", settings);
      await using server = seeder.process;
      return await measure(job, server.pid, () => download(`${seeder.url}/images/wire/data`, targetPath));
    };
  },
};

async function download(url: string, targetPath: string): Promise<Received> {
  const command = ["curl", "--silent", "--fail", "--output", targetPath, url];
  await using child = new BenchChild([python, join(import.meta.dirname, "measured.py"), ...command]);
  return await child.json<Received>("seconds");
}

async function publish(url: string, path: string, bytes: number): Promise<void> {
  const headers = { "content-length": String(bytes) };
  const answer = await request(`${url}/images/wire`, { method: "PUT", headers, body: createReadStream(path) });
  if (answer.statusCode !== 201)
    throw new Error(`the seeder answered ${answer.statusCode}: ${await answer.body.text()}`);
  await answer.body.dump();
}

/** nginx does not say when it listens. */
async function untilAnswered(url: string, server: BenchChild): Promise<void> {
  while (server.child.exitCode === null) {
    const answer = await request(url, { method: "HEAD" }).catch(() => undefined);
    if (answer?.statusCode === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nginx ended with status ${server.child.exitCode}`);
}

/** As Debian configures it where it matters (sendfile, tcp_nopush), with one worker: there is one client. */
function nginxConfig(port: number, root: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path tmp/${kind};`,
  );
  return `
user root;
daemon off;
worker_processes 1;
pid tmp/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  ${temporary.join("\n  ")}
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`;
}
