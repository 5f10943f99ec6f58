/**
 * Unary calls as agents make them, byte for byte, at a fraction of the CPU: thousands of simulated nodes share the machine with
 * the seeder that is measured, whereas real ones bring their own.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { gunzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH, HTTP2_HEADER_STATUS, NGHTTP2_CANCEL, HTTP_STATUS_OK } = constants;

/** A transport with one HTTP/2 connection, opened again at the call after its end. */
export function leanTransport(url: string): Transport {
  let session: ClientHttp2Session | undefined;
  const opened = () => {
    if (session && !session.closed && !session.destroyed) return session;
    const fresh = connect(url);
    fresh.on("error", () => fresh.destroy());
    fresh.on("close", () => {
      if (session === fresh) session = undefined;
    });
    session = fresh;
    return fresh;
  };
  return {
    async unary(method, _signal, timeoutMs, _header, input) {
      const stream = opened().request({
        [HTTP2_HEADER_METHOD]: "POST",
        [HTTP2_HEADER_PATH]: `/${method.parent.typeName}/${method.name}`,
        "content-type": "application/proto",
        "connect-protocol-version": "1",
        "user-agent": "connect-es/2.0",
        "accept-encoding": "gzip",
        ...(timeoutMs !== undefined && { "connect-timeout-ms": String(timeoutMs) }),
      });
      stream.end(toBinary(method.input, create(method.input, input)));
      const message = fromBinary(method.output, await answerOf(stream, timeoutMs));
      return { stream: false, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
    },
    async stream() {
      throw new ConnectError("simulated nodes make unary calls only", Code.Unimplemented);
    },
  };
}

/** The body of a call's answer, where it is no error. */
function answerOf(stream: ClientHttp2Stream, timeoutMs: number | undefined): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let status = 0;
    let isCompressed = false;
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => stream.close(NGHTTP2_CANCEL), timeoutMs);
    stream.on("response", (headers) => {
      status = Number(headers[HTTP2_HEADER_STATUS]);
      isCompressed = headers["content-encoding"] !== undefined;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("close", () => {
      clearTimeout(timer);
      const body = Buffer.concat(chunks);
      if (status === HTTP_STATUS_OK && stream.readableEnded) resolve(isCompressed ? gunzipSync(body) : body);
      else reject(new ConnectError(`no answer (${status})`, Code.Unavailable));
    });
  });
}
