/** The HTTP/2 session with one seeder. */
import type { Http2Session } from "node:http2";
import { Http2SessionManager } from "@connectrpc/connect-node";

/**
 * The library's session manager, with an ear for errors that come late. It stops listening to a session as soon as a call finds
 * it destroyed; where it destroyed it itself (a ping that nobody answered), the session's "error" comes only after that,
 * and an error that nobody hears ends the process.
 */
export class SeederSession extends Http2SessionManager {
  readonly #heard = new WeakSet<Http2Session>();

  override async request(...asked: Parameters<Http2SessionManager["request"]>) {
    const stream = await super.request(...asked);
    const { session } = stream;
    if (session && !this.#heard.has(session)) {
      this.#heard.add(session);
      // Whoever has calls on it hears of the error from them.
      session.on("error", () => {});
    }
    return stream;
  }
}
