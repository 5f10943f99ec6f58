/**
 * TCP connections whose received bytes all go through one buffer: decoders copy what they keep before they return. A
 * buffer for each chunk, as sockets make them otherwise, costs as much as hashing the bytes, and its garbage is collected
 * by marking the whole heap.
 */
import { connect, Socket, type SocketConstructorOpts } from "node:net";
import type { Endpoint } from "./types.ts";

const receiveBuffer = Buffer.allocUnsafeSlow(256 * 1024);

/** Begins a connection. */
export function dial({ host, port }: Endpoint): Socket {
  const socket: Socket = connect({ host, port, onread: intoReceiveBuffer(() => socket) });
  return socket;
}

/**
 * A connection that a server took, with `pauseOnConnect`, read in the same way.
 *
 * Node lets only who dials say where to read to, so the connection moves to a socket made like one that dials. Its handle is
 * no documented option: where it is missing, the connection stays with the socket that it came with.
 */
export function readShared(accepted: Socket): Socket {
  const { _handle: handle } = accepted as unknown as { _handle?: object | null };
  if (!handle) return accepted.resume();
  const options = { handle, onread: intoReceiveBuffer(() => socket) } as SocketConstructorOpts;
  const socket: Socket = new Socket(options);
  (accepted as unknown as { _handle: null })._handle = null;
  accepted.destroy();
  return socket;
}

function intoReceiveBuffer(socketOf: () => Socket) {
  return {
    buffer: receiveBuffer,
    callback: (bytes: number, buffer: Uint8Array) => {
      socketOf().emit("data", buffer.subarray(0, bytes));
      return true;
    },
  };
}
