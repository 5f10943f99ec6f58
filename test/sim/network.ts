/** Machines, the connections between them, and the faults of both. */
import type { Endpoint } from "../../swarm/types.ts";
import type { Content } from "./content.ts";
import type { EventQueue } from "./event-queue.ts";
import { type LinkRates, Links } from "./link.ts";
import type { Random } from "./random.ts";
import { SimSocket } from "./socket.ts";

/** After an outage TCP tries again, at intervals that have grown meanwhile. */
const retryMsMax = 3_000;

/** Sees all bytes of all connections. */
export interface NetworkObserver {
  written(from: SimSocket, bytes: Buffer): void;
  delivered(to: SimSocket, bytes: Buffer): void;
}

export class Machine {
  readonly number: number;
  readonly host: string;
  readonly links: Links;
  readonly sockets = new Set<SimSocket>();
  /** Takes connections; undefined while no process listens. */
  listener: ((socket: SimSocket, from: Endpoint) => void) | undefined;
  isPowered = true;
  /** Only machines of the same side reach each other. */
  side = 0;
  #port = 32_768;

  constructor(number: number, links: Links) {
    this.number = number;
    this.host = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
    this.links = links;
  }

  nextPort(): number {
    this.#port = this.#port === 60_999 ? 32_768 : this.#port + 1;
    return this.#port;
  }
}

export class Network {
  readonly queue: EventQueue;
  readonly machines: Machine[] = [];
  observer: NetworkObserver | undefined;
  /** Given if all nodes' blocks are of this content: their bytes are then not carried along. */
  readonly content: Content | undefined;
  readonly #random: Random;
  /** Sockets that have something to send and no path. */
  #parked: SimSocket[] = [];

  constructor(queue: EventQueue, random: Random, content?: Content) {
    this.queue = queue;
    this.#random = random;
    this.content = content?.isUniform ? content : undefined;
  }

  addMachine(rates: LinkRates): Machine {
    // Addresses end neither in 0 nor, up to 10,000 machines, in anything special.
    const machine = new Machine(this.machines.length + 1, new Links(rates, this.queue));
    this.machines.push(machine);
    return machine;
  }

  isPath(from: Machine, to: Machine): boolean {
    return from.side === to.side && from.isPowered && to.isPowered;
  }

  /** The socket is tried again when paths change. */
  park(socket: SimSocket): void {
    this.#parked.push(socket);
  }

  /** Connects; `onConnect` is called when the connection is there. Who does not answer leaves it to the caller's timeout. */
  dial(from: Machine, to: Endpoint, onConnect: () => void): SimSocket {
    const socket = new SimSocket(this, from);
    from.sockets.add(socket);
    const target = this.#machineAt(to.host);
    if (!target) return socket;
    const oneWayMs = from.links.rates.latencyMs + target.links.rates.latencyMs;
    const back = (answer: () => void) => this.queue.after(oneWayMs, () => from.links.whenAwake(answer));
    this.queue.after(oneWayMs, () => {
      if (!this.isPath(from, target) || socket.isClosed) return;
      if (!target.listener) {
        back(() => socket.fail(new Error(`connect ECONNREFUSED ${to.host}`)));
        return;
      }
      const accepted = new SimSocket(this, target);
      target.sockets.add(accepted);
      accepted.open(socket);
      back(() => {
        if (socket.isClosed) {
          accepted.fail(new Error("read ECONNRESET"));
          return;
        }
        onConnect();
        socket.open(accepted);
      });
      target.links.whenAwake(() => {
        if (!accepted.isClosed) target.listener?.(accepted, { host: from.host, port: from.nextPort() });
      });
    });
    return socket;
  }

  /** Ends the machine's process: its kernel closes the connections. */
  killProcess(machine: Machine): void {
    machine.listener = undefined;
    for (const socket of [...machine.sockets]) socket.vanish(true);
  }

  /** Cuts its power: nobody is told until it is back and knows of no connection. */
  cutPower(machine: Machine): SimSocket[] {
    machine.listener = undefined;
    machine.isPowered = false;
    const orphans = [...machine.sockets].map((socket) => socket.remote).filter((remote) => remote.machine !== machine);
    for (const socket of [...machine.sockets]) socket.vanish(false);
    return orphans;
  }

  /** `orphans` as `cutPower` gave them. */
  restorePower(machine: Machine, orphans: readonly SimSocket[]): void {
    machine.isPowered = true;
    for (const orphan of orphans) {
      this.queue.after(this.#random.between(0, retryMsMax), () => orphan.fail(new Error("read ECONNRESET")));
    }
    this.retryParked();
  }

  /** Moves machines to a side of their own (0: the network at large). */
  moveTo(side: number, machines: readonly Machine[]): void {
    for (const machine of machines) machine.side = side;
    this.retryParked();
  }

  retryParked(): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const socket of parked) this.queue.after(this.#random.between(0, retryMsMax), () => socket.retry());
  }

  #machineAt(host: string): Machine | undefined {
    const parts = host.split(".").map(Number);
    return this.machines[(parts[1]! << 16) + (parts[2]! << 8) + parts[3]! - 1];
  }
}
