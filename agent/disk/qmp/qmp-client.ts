/**
 * QEMU's monitor protocol: JSON by lines over a Unix socket; a greeting, `qmp_capabilities`, then commands, each with an
 * id, and events at any time, which nobody here needs. A QMP socket serves one client; the next waits for a greeting.
 */
import { connect, type Socket } from "node:net";
import { messageOf, Problem, systemCodeOf } from "../../../daemon/problem.ts";

/** Longest message taken: a list of the block nodes of a VM with hundreds of disks is a tenth of it. */
const messageBytesMax = 4 * 1024 * 1024;
/** QEMU greets at once, unless its monitor serves somebody else. */
const greetingMs = 5_000;

interface QmpMessage {
  QMP?: unknown;
  id?: unknown;
  return?: unknown;
  error?: { class?: unknown; desc?: unknown };
}

/** A command that QEMU refuses; the message is QEMU's own. */
export class QmpRefusal extends Error {
  override readonly name = "QmpRefusal";
  /** QEMU's class of the error: "CommandNotFound", "GenericError" ... */
  readonly errorClass: string;

  constructor(errorClass: string, message: string) {
    super(message);
    this.errorClass = errorClass;
  }
}

export interface Qmp {
  /**
   * Runs a command.
   *
   * @throws QmpRefusal; Problem "unavailable" if QEMU goes away or does not answer within `timeoutMs`.
   */
  execute(command: string, args: Record<string, unknown>, timeoutMs: number): Promise<unknown>;
  close(): void;
}

/**
 * Connects to the QMP socket of a running QEMU.
 *
 * @param signal ends the connection, and what is being waited for
 * @throws Problem "not-found" or "unavailable" if nothing is there or answers, "invalid" if it is no QMP.
 */
export async function connectQmp(path: string, signal: AbortSignal): Promise<Qmp> {
  const connection = new QmpConnection(connect({ path, signal }), path);
  try {
    const greeting = await connection.next((message) => message.QMP !== undefined, greetingMs);
    if (greeting === undefined) {
      throw new Problem(
        "unavailable",
        `${path} does not greet as QEMU's QMP does: it is none, or serves somebody else (libvirt, say); give QEMU a QMP socket of its own for this`,
      );
    }
    await connection.execute("qmp_capabilities", {}, greetingMs);
    return connection;
  } catch (error) {
    connection.close();
    if (error instanceof QmpRefusal) throw new Problem("invalid", `${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

class QmpConnection implements Qmp {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #waiting = new Set<{ isWanted: (message: QmpMessage) => boolean; resolve: (message: QmpMessage) => void }>();
  readonly #ended: Promise<never>;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #nextId = 1;

  constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    const { promise, reject } = Promise.withResolvers<never>();
    this.#ended = promise;
    // It may end while nobody asks for anything.
    promise.catch(() => {});
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("error", (error) => reject(connectionProblem(path, error)));
    socket.on("close", () => reject(new Problem("unavailable", `QEMU has closed its QMP connection ${path}`)));
  }

  async execute(command: string, args: Record<string, unknown>, timeoutMs: number): Promise<unknown> {
    const id = this.#nextId++;
    const answer = this.next((message) => message.id === id, timeoutMs);
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const message = await answer;
    if (message === undefined) {
      throw new Problem("unavailable", `QEMU (${this.#path}) did not answer ${command} within ${timeoutMs / 1_000} s`);
    }
    const { error } = message;
    if (error === undefined) return message.return;
    throw new QmpRefusal(
      String(error.class ?? ""),
      `QEMU refuses ${command}: ${String(error.desc ?? "no reason given")}`,
    );
  }

  /** The next message of a kind; undefined if none comes in time. Rejects if the connection ends. */
  async next(isWanted: (message: QmpMessage) => boolean, timeoutMs: number): Promise<QmpMessage | undefined> {
    const { promise, resolve } = Promise.withResolvers<QmpMessage | undefined>();
    const waiting = { isWanted, resolve };
    this.#waiting.add(waiting);
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    try {
      return await Promise.race([promise, this.#ended]);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(waiting);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      const end = rest.indexOf("\n");
      const part = end === -1 ? rest : rest.subarray(0, end);
      rest = end === -1 ? rest.subarray(rest.length) : rest.subarray(end + 1);
      this.#partBytes += part.length;
      if (this.#partBytes > messageBytesMax) {
        this.#socket.destroy(new Error(`a message is longer than ${messageBytesMax} bytes`));
        return;
      }
      this.#parts.push(part);
      if (end === -1) return;
      const line = Buffer.concat(this.#parts, this.#partBytes).toString("utf8");
      this.#parts = [];
      this.#partBytes = 0;
      if (!this.#tell(line)) return;
    }
  }

  #tell(line: string): boolean {
    const message = messageFrom(line);
    if (message === undefined) {
      this.#socket.destroy(new Error(`it says ${JSON.stringify(line.slice(0, 80))}, which is no QMP`));
      return false;
    }
    for (const { isWanted, resolve } of [...this.#waiting]) if (isWanted(message)) resolve(message);
    return true;
  }
}

function messageFrom(line: string): QmpMessage | undefined {
  if (line.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as QmpMessage) : undefined;
  } catch {
    return undefined;
  }
}

function connectionProblem(path: string, error: Error): Problem {
  const code = systemCodeOf(error);
  if (error.name === "AbortError") return new Problem("cancelled", `stopped waiting for ${path}`, { cause: error });
  if (code === "ENOENT") {
    return new Problem(
      "not-found",
      `there is no QMP socket ${path}; start QEMU with -qmp unix:${path},server=on,wait=off`,
    );
  }
  if (code === "ECONNREFUSED") {
    return new Problem("unavailable", `nothing answers at ${path}: its QEMU has ended, or it is no QMP socket`);
  }
  if (code === "EAGAIN") {
    const advice = "give QEMU a QMP socket of its own for this";
    return new Problem("unavailable", `${path} is taken by others, and more wait for it already; ${advice}`);
  }
  if (code === "EACCES")
    return new Problem("invalid", `the agent may not open the QMP socket ${path}; let its user in`);
  if (code === "ENOTSOCK") return new Problem("invalid", `${path} is no socket, so no QEMU is behind it`);
  return new Problem("invalid", `the connection to the QMP socket ${path} failed: ${messageOf(error)}`, {
    cause: error,
  });
}
