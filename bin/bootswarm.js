#!/usr/bin/env node
/**
 * The `bootswarm` command. Plain JavaScript that any Node from 20 on runs: it finds a Node that is new enough for the
 * program, and starts the part that was asked for: a daemon, or the command line.
 *
 * In a checkout the TypeScript sources run as they are. A packed install carries them compiled in dist/, since Node
 * strips no types below node_modules.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The program needs this major version of Node: TypeScript sources, node:sqlite. */
const nodeMajorMin = 24;
/**
 * What an agent's Node is started with: it shares its machine with VMs, and V8 would let its young generation grow to 32
 * MiB and more. `npm run bench:agent` shows what that saves.
 */
const agentFlags = ["--max-semi-space-size=1"];
/** Says to the Node that was started for the program which of its descriptors is a pipe to whoever started it. */
const launcherPipe = { variable: "BOOTSWARM_LAUNCHER_PIPE", descriptor: 3 };
const launcher = fileURLToPath(import.meta.url);

if (Number.parseInt(process.versions.node, 10) >= nodeMajorMin) await runHere();
else runWithNewerNode();

/** Imports the wanted part into this process, with its own arguments where it looks for them. */
async function runHere() {
  const [first, ...rest] = process.argv.slice(2);
  const isDaemon = first === "seeder" || first === "agent";
  if (first === "agent") restartWith(agentFlags);
  endWithLauncher();
  process.argv = [process.execPath, launcher, ...(isDaemon ? rest : process.argv.slice(2))];
  await import(pathToFileURL(entryOf(isDaemon ? first : "cli")).href);
}

/** Starts over in this very process with flags that Node takes only at its start, unless it has them. */
function restartWith(flags) {
  const given = `${process.execArgv.join(" ")} ${process.env.NODE_OPTIONS ?? ""}`;
  const missing = flags.filter((flag) => !given.includes(flag.split("=")[0]));
  // Where a process cannot be replaced, it is a larger one.
  if (missing.length === 0 || !process.execve) return;
  process.execve(process.execPath, [
    process.execPath,
    ...process.execArgv,
    ...missing,
    launcher,
    ...process.argv.slice(2),
  ]);
}

/**
 * Ends this process, in order, when the one that started it is gone. What that is told by signals it passes on, but
 * SIGKILL leaves it no time to: its end of the pipe is closed in any case.
 */
function endWithLauncher() {
  if (!process.env[launcherPipe.variable]) return;
  delete process.env[launcherPipe.variable];
  const pipe = new Socket({ fd: launcherPipe.descriptor });
  pipe.on("error", () => {});
  pipe.on("close", () => process.kill(process.pid, "SIGTERM"));
  pipe.resume().unref();
}

/** The file to run for a part: its source in a checkout, its compiled form in an install. */
function entryOf(part) {
  const root = dirname(dirname(launcher));
  const source = join(root, part, "main.ts");
  return existsSync(source) ? source : join(root, "dist", part, "main.js");
}

/** Runs this file again with the Node that was installed along with it. */
function runWithNewerNode() {
  const node = installedNode();
  if (!node) {
    const name = `node-${process.platform}-${process.arch}`;
    console.error(
      `bootswarm needs Node ${nodeMajorMin} or later, and this is ${process.version}. The package ${name}, which brings ` +
        `one, is not installed: install bootswarm again without --omit=optional, or install Node ${nodeMajorMin}.`,
    );
    process.exit(1);
  }
  const flags = process.argv[2] === "agent" ? agentFlags : [];
  const args = [...flags, launcher, ...process.argv.slice(2)];
  const child = spawn(node, args, {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, [launcherPipe.variable]: "1" },
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal === "SIGTERM" || !terminalSignalsGroup()) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`bootswarm cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (status, signal) => process.exit(signal ? 128 + constants.signals[signal] : status));
}

/** Path of the Node that the optional dependency brought, wherever npm has put it. */
function installedNode() {
  try {
    const manifest = createRequire(launcher).resolve(`node-${process.platform}-${process.arch}/package.json`);
    const node = join(dirname(manifest), "bin", "node");
    return existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a terminal sends its interrupts and hang-ups to our whole process group: then the child has them already,
 * and sending them on would count as the second Ctrl-C, which ends a daemon without ceremony.
 */
function terminalSignalsGroup() {
  try {
    // Fields after the command's name, which may itself hold spaces and brackets: state ppid pgrp session tty tpgid.
    const fields = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1).split(" ");
    return fields[2] === fields[5];
  } catch {
    return false;
  }
}
