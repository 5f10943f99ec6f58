import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { encodeExtensionHandshake, extensionHandshakeId, ourMetadataId } from "../../../swarm/extension.ts";
import { piecesMax } from "../../../swarm/limits.ts";
import {
  answerMetadataRequest,
  encodeMetadataMessage,
  type MetadataMessage,
  metadataMessageFrom,
} from "../../../swarm/metadata.ts";
import type { Endpoint } from "../../../swarm/types.ts";
import {
  type Block,
  encodeBlockMessages,
  encodeExtended,
  encodeHandshake,
  pieceHeadBytes,
  WireDecoder,
  writePieceHead,
} from "../../../swarm/wire.ts";

/** A peer made of a listening socket and the wire's codec alone, whose manners the test decides. */
export class WirePeer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly peerId = randomBytes(20);
  /** Parts asked of it, in order. */
  readonly requests: number[] = [];
  connections = 0;
  /** What its extension handshake names; 0 for none. */
  metadataBytes = 0;
  /** Ends connections at once, as a host that is going down. */
  isDown = false;
  onHandshake: (socket: Socket) => void = () => {};
  onRequest: (part: number, socket: Socket) => void = () => {};

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(infohash: string, fields: Partial<WirePeer> = {}): Promise<WirePeer> {
    const server = createServer();
    const peer = Object.assign(new WirePeer(server), fields);
    server.on("connection", (socket) => peer.#onConnection(socket, infohash));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return peer;
  }

  get endpoint(): Endpoint {
    return { host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port };
  }

  get isConnected(): boolean {
    return this.#sockets.size > 0;
  }

  sendMetadata(socket: Socket, message: MetadataMessage): void {
    socket.write(encodeExtended(ourMetadataId, encodeMetadataMessage(message)));
  }

  /** Answers as a peer that has `infoBytes` does. */
  answerFrom(infoBytes: Uint8Array): (part: number, socket: Socket) => void {
    return (part, socket) => this.sendMetadata(socket, answerMetadataRequest(infoBytes, part));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #onConnection(socket: Socket, infohash: string): void {
    this.connections++;
    if (this.isDown) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    // The clocks of these tests do not wait for TCP's.
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    const decoder = new WireDecoder(
      {
        onHandshake: () => {
          socket.write(encodeHandshake(infohash, this.peerId));
          const extensions = encodeExtensionHandshake({
            peerPort: this.endpoint.port,
            metadataBytes: this.metadataBytes,
          });
          socket.write(encodeExtended(extensionHandshakeId, extensions));
          this.onHandshake(socket);
        },
        onMessage: (message) => {
          if (message.type !== "extended" || message.id !== ourMetadataId) return;
          const request = metadataMessageFrom(Buffer.from(message.payload));
          if (request?.type !== "request") return;
          this.requests.push(request.part);
          this.onRequest(request.part, socket);
        },
        onBlockStart: () => undefined,
        onBlockEnd: () => {},
      },
      { bitfieldBytesMax: piecesMax },
    );
    socket.on("data", (chunk) => decoder.push(chunk));
  }
}

/** One request, cancel or reject. */
export function encodeBlockMessage(type: "request" | "cancel" | "reject", block: Block): Buffer {
  return encodeBlockMessages(type, [block]);
}

/** What goes before a block's bytes. */
export function encodePieceHead(block: Block): Buffer {
  const head = Buffer.alloc(pieceHeadBytes);
  writePieceHead(head, 0, block);
  return head;
}
