import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { encodeBlockMessages, encodeHandshake, encodeSignal, WireDecoder } from "../../../swarm/wire.ts";

const block = { index: 0, begin: 0, length: 16 * 1024 };
const retryMs = 2;

/** Asks a node for a torrent's first block, again and again until it comes. */
export async function firstBlock(port: number, infohash: string): Promise<void> {
  while (!(await askOnce(port, infohash))) await delay(retryMs);
}

/** Whether the block came before the connection ended: a node turns away who asks for a torrent that it does not know. */
async function askOnce(port: number, infohash: string): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  let isHere = false;
  const decoder = new WireDecoder(
    {
      onHandshake: () => socket.write(encodeSignal("interested")),
      onMessage: ({ type }) => {
        if (type === "unchoke") socket.write(encodeBlockMessages("request", [block]));
      },
      onBlockStart: () => undefined,
      onBlockEnd: () => {
        isHere = true;
        socket.destroy();
      },
    },
    { bitfieldBytesMax: 1024 * 1024 },
  );
  socket.on("error", () => {});
  socket.on("data", (chunk) => decoder.push(chunk));
  socket.on("connect", () => socket.write(encodeHandshake(infohash, randomBytes(20))));
  await new Promise((resolve) => socket.once("close", resolve));
  return isHere;
}
