/** The packed tarball, installed into an empty folder and run as a user would run it. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPage, startBrowser } from "../fixtures/browser.ts";
import { makeTemporaryDirectory } from "../fixtures/temporary-directory.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

/** The environment of a user's shell: without the Node and the tools of this checkout's node_modules. */
const userEnv = {
  ...process.env,
  PATH: (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => !folder.includes("node_modules"))
    .join(delimiter),
};

let folder: Awaited<ReturnType<typeof makeTemporaryDirectory>>;
let bootswarm: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = await makeTemporaryDirectory();
  await run("npm", ["pack", "--pack-destination", folder.path], { cwd: root });
  const tarball = (await readdir(folder.path)).find((name) => name.endsWith(".tgz"));
  if (!tarball) throw new Error("npm pack has made no tarball");
  const prefix = join(folder.path, "prefix");
  await run("npm", ["install", "--global", "--prefix", prefix, join(folder.path, tarball)], {
    cwd: folder.path,
    env: userEnv,
  });
  bootswarm = join(prefix, "bin/bootswarm");
});

afterAll(async () => {
  await Promise.all(children.map(stop));
  await folder?.remove();
});

test("the command runs on the machine's own Node, whatever its version", async () => {
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const { stdout } = await run(bootswarm, ["--version"], { env: userEnv });
  expect(stdout.trim()).toBe(version);
});

test("the tarball holds compiled code, no sources and no tests", async () => {
  const installed = join(folder.path, "prefix/lib/node_modules/bootswarm");
  const names = await readdir(installed);
  expect(names).toEqual(expect.arrayContaining(["bin", "dist", "proto", "README.md", "LICENSE", "CHANGELOG.md"]));
  expect(names).not.toEqual(expect.arrayContaining(["test"]));
  const own = (await readdir(installed, { recursive: true })).filter((path) => !path.startsWith("node_modules/"));
  expect(own.filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))).toEqual([]);
});

test("without a new enough Node, it says what to do", async () => {
  const { stdout } = await run("node", ["--version"], { env: userEnv });
  const isOld = Number.parseInt(stdout.slice(1), 10) < 24;
  const lonely = join(folder.path, "lonely");
  await run("mkdir", ["-p", join(lonely, "bin")]);
  await run("cp", [join(root, "bin/bootswarm.js"), join(lonely, "bin/bootswarm.js")]);
  await writeFile(join(lonely, "package.json"), '{"type": "module"}');
  const failure = run("node", [join(lonely, "bin/bootswarm.js"), "--version"], { env: userEnv });
  // A Node that is new enough goes on and misses the rest of the program instead.
  await expect(failure).rejects.toThrow(isOld ? /needs Node 24 or later, and this is v\d+/ : /ERR_MODULE_NOT_FOUND/);
});

test("a seeder and an agent start from it, an image goes through, and SIGTERM ends them", async () => {
  const ports = ["--listen", "127.0.0.1:0", "--set", "swarm.port=0", "--set", "dht.port=0"];
  const seeder = await startDaemon(["seeder", "--data", join(folder.path, "data"), ...ports]);
  const agent = await startDaemon(["agent", "--seeder", seeder.url, "--state", join(folder.path, "state"), ...ports]);
  const image = join(folder.path, "image.raw");
  const bytes = randomBytes(3_000_000);
  await writeFile(image, bytes);
  const env = { ...userEnv, BOOTSWARM_SEEDER: seeder.url, BOOTSWARM_AGENT: agent.url };

  const published = await run(bootswarm, ["publish", image, "--name", "packed"], { env });
  expect(published.stdout).toMatch(/^sha256 {2}[0-9a-f]{64}\nmagnet {2}magnet:\?xt=urn:btih:[0-9a-f]{40}/);
  const fetched = await run(bootswarm, ["fetch", "packed"], { env });
  expect(await readFile(fetched.stdout.trim())).toEqual(bytes);

  // The dashboard comes from the package too, compiled: it shows the node and the image.
  const browser = await startBrowser();
  try {
    const { page, faults } = await openPage(browser, seeder.url);
    await page.locator("#figure-nodes", { hasText: "1 up" }).waitFor();
    await page.locator('.map-name[data-cached="1"]', { hasText: "packed" }).waitFor();
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
  }

  // The launcher may be a parent of the daemon; both must be gone, and the status must be the daemon's.
  expect(await stop(agent.child)).toBe(0);
  expect(await stop(seeder.child)).toBe(0);
  await expect(fetch(`${agent.url}/healthz`)).rejects.toThrow();
  await expect(fetch(`${seeder.url}/healthz`)).rejects.toThrow();
});

test("a daemon ends with the process that was started, also when that is killed", async () => {
  const ports = ["--listen", "127.0.0.1:0", "--set", "swarm.port=0", "--set", "dht.port=0"];
  const { child, url } = await startDaemon(["seeder", "--data", join(folder.path, "killed"), ...ports]);
  // Its output is closed by the last process that has it.
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
});

/** Starts a daemon and waits for the line of its log that says where its API listens. */
async function startDaemon(args: string[]): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(bootswarm, args, { env: userEnv, stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  const lines: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    child.once("close", () => reject(new Error(`${args[0]} ended:\n${lines.join("\n")}`)));
    createInterface({ input: child.stderr! }).on("line", (line) => {
      lines.push(line);
      const found = /"url":"([^"]+)".*"msg":"listening"/.exec(line);
      if (found) resolve(found[1]!);
    });
  });
  return { child, url };
}

/** Ends a child by SIGTERM and returns its exit status. */
async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    await ended;
  }
  return child.exitCode;
}
