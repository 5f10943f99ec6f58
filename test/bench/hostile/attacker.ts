/** The attacker: attacker.ts KIND TARGET (as JSON). Goes on until its parent ends it; answers with its counts. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { encodeHandshake, handshakeBytes } from "../../../swarm/wire.ts";
import { type ConnectionAttack, connectionAttacks, dhtFloods, floodDht } from "./attacks.ts";
import type { AttackCounts, Target } from "./messages.ts";

/** Loopback addresses that the attack comes from: the honest leecher has another. */
const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
/** A connection that was ended is made anew after this. */
const againMs = 20;
const goOnMs = 10;

const [kind, json] = process.argv.slice(2) as [string, string];
const target = JSON.parse(json) as Target;
const counts: AttackCounts = { made: 0, greeted: 0, turnedAway: 0, bytesSent: 0 };
const random = seeded(42);
process.on("message", () => process.send?.(counts));

const attack = connectionAttacks[kind];
if (attack) for (let count = 0; count < attack.connections; count++) setTimeout(() => open(attack, count), count / 4);
else if (kind === dhtFloods) floodDht(target, random, counts);
else throw new Error(`"${kind}" is no attack`);

function open(attack: ConnectionAttack, number: number): void {
  const localAddress = addresses[number % addresses.length] as string;
  const socket = connect({ port: target.peerPort, host: "127.0.0.1", localAddress });
  let timer: NodeJS.Timeout | undefined;
  let isGreeted = false;
  const begin = () => {
    isGreeted = true;
    counts.greeted++;
    if (attack.readsNothing) socket.pause();
    attack.begin?.(socket, target, random);
    if (attack.goOn) timer = setInterval(() => goOn(attack, socket), goOnMs);
  };
  socket.on("connect", () => {
    counts.made++;
    if (attack.greets === undefined) begin();
    else socket.write(encodeHandshake(target.infohashes[attack.greets], randomBytes(20)));
  });
  socket.on("data", () => {
    if (!isGreeted && socket.bytesRead >= handshakeBytes) begin();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    clearInterval(timer);
    counts.turnedAway++;
    counts.bytesSent += socket.bytesWritten;
    setTimeout(() => open(attack, number), againMs);
  });
}

function goOn(attack: ConnectionAttack, socket: Socket): void {
  if (socket.writable && !socket.writableNeedDrain) attack.goOn?.(socket, target, random);
}

/** mulberry32: small, and the same everywhere. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
