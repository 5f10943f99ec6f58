/** Answers in JSON, as Connect's own errors are, so that a client reads both alike. */
import type { ServerResponse } from "node:http";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { connectErrorFrom, httpStatusFrom } from "../../daemon/api-errors.ts";
import { type Response, sendText } from "../../daemon/listener.ts";
import { Absent } from "../catalog/others.ts";

/** Sends a JSON text. */
export function sendJson(response: Response, status: number, json: string): void {
  sendText(response, status, `${json}\n`, "application/json");
}

/** Sends {"code", "message"} for anything thrown, if there is still somebody to send it to. Returns the status. */
export function sendError(response: Response, error: unknown): number {
  const status = httpStatusFrom(error);
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return status;
  }
  if (error instanceof Absent)
    (response as ServerResponse).setHeader("retry-after", Math.ceil(error.retryAfterMs / 1_000));
  const { code, rawMessage } = connectErrorFrom(error);
  sendJson(response, status, JSON.stringify({ code: codeToString(code), message: rawMessage }));
  return status;
}
