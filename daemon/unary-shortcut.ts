/**
 * A unary call of Connect's protocol (https://connectrpc.com/docs/protocol) in its binary form, answered without Connect's
 * server. That one makes headers, signals and streams anew for every call, which costs twice as much as HTTP/2 and the message
 * together: too much for a call that comes hundreds of times a second. All else, JSON, gRPC, compressed requests, goes there.
 */
import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  codeToHttpStatus,
  contentTypeUnaryJson,
  contentTypeUnaryProto,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { connectErrorFrom } from "./api-errors.ts";
import { addressOf, type HttpHandler, messageBytesMax, type Request, type Response } from "./listener.ts";

/**
 * @param answer answers at once, so that there is no deadline to look after; from is the caller's address, undefined over a
 *   Unix socket
 */
export function unaryShortcut<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  answer: (request: MessageShape<Input>, from: string | undefined) => MessageInitShape<Output>,
): HttpHandler {
  const path = `/${method.parent.typeName}/${method.name}`;
  return (request, response) => {
    if (request.url !== path || request.method !== "POST" || !isPlainBinary(request)) return false;
    const from = addressOf(request);
    receive(request, (body) => {
      try {
        if (body === undefined) throw tooLong();
        const output = create(method.output, answer(messageFrom(method.input, body), from));
        send(response, 200, contentTypeUnaryProto, toBinary(method.output, output));
      } catch (error) {
        const { code, body } = failureOf(error);
        send(response, codeToHttpStatus(code), contentTypeUnaryJson, body);
      }
    });
    return true;
  };
}

function isPlainBinary({ headers }: Request): boolean {
  const encoding = headers["content-encoding"];
  return headers["content-type"] === contentTypeUnaryProto && (encoding === undefined || encoding === "identity");
}

/** The whole body, or undefined if there is too much of it; nobody is told of one that breaks off. */
function receive(
  request: Readable & { readonly aborted: boolean },
  onEnd: (body: Uint8Array | undefined) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= messageBytesMax) {
      chunks.push(chunk);
      return;
    }
    // What still comes is read and forgotten.
    chunks.length = 0;
    request.off("data", onData).off("end", onWhole).resume();
    onEnd(undefined);
  };
  const onWhole = () => {
    // An HTTP/2 stream that is reset, or whose connection has gone, ends like one that is whole.
    if (!request.aborted) onEnd(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
  };
  request.on("data", onData).on("end", onWhole);
}

function messageFrom<Input extends DescMessage>(input: Input, body: Uint8Array): MessageShape<Input> {
  try {
    return fromBinary(input, body);
  } catch (error) {
    throw new ConnectError(`parse binary: ${(error as Error).message}`, Code.InvalidArgument);
  }
}

function tooLong(): ConnectError {
  return new ConnectError(`message is larger than ${messageBytesMax} bytes`, Code.ResourceExhausted);
}

function failureOf(thrown: unknown): { code: Code; body: Uint8Array } {
  const error = connectErrorFrom(thrown);
  return { code: error.code, body: errorToJsonBytes(error, undefined) };
}

function send(response: Response, status: number, type: string, body: Uint8Array): void {
  // The two response classes agree here, but their overloads do not unify.
  const writable = response as ServerResponse;
  writable.writeHead(status, { "content-type": type, "content-length": body.length });
  writable.end(body);
}
