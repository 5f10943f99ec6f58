/** The dashboard's page over HTTP, on the API's port. */
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { HttpHandler, Request, Response } from "../../daemon/listener.ts";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import { type Assets, loadAssets } from "./assets.ts";

/** Answers requests for the page and its files. They are read at the first request. */
export function createWeb(log: Log): HttpHandler {
  let loading: Promise<Assets> | undefined;
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    if (path !== "/" && !/^\/(seeder\/web\/page|figures|lit-html)\//.test(path)) return false;
    loading ??= loadAssets();
    loading.then(
      (assets) => answer(assets, path, request, response),
      (error: unknown) => {
        // The next request tries again: a file may have been in the middle of an upgrade.
        loading = undefined;
        log.error({ error: messageOf(error) }, "the dashboard's files cannot be read");
        send(response, 500, { "content-type": "text/plain" }, "the dashboard's files cannot be read; see the log\n");
      },
    );
    return true;
  };
}

function answer({ files, inlineScripts }: Assets, path: string, request: Request, response: Response): void {
  const text = { "content-type": "text/plain; charset=utf-8" };
  const file = files.get(path);
  if (!file) {
    send(response, 404, text, `there is nothing at ${path}\n`);
    return;
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, { ...text, allow: "GET, HEAD" }, "GET and HEAD read here\n");
    return;
  }
  const headers: OutgoingHttpHeaders = {
    "content-type": file.type,
    etag: file.etag,
    // Kept, but asked for each time: a page never mixes modules of two versions.
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    ...(path === "/" ? { "content-security-policy": contentPolicy(inlineScripts), "x-frame-options": "DENY" } : {}),
  };
  if (isKnown(request, file.etag)) send(response, 304, headers);
  else {
    headers["content-length"] = file.body.length;
    send(response, 200, headers, request.method === "HEAD" ? undefined : file.body);
  }
}

/** Nothing but our own files and our own API; no inline script but the import map, no inline style, no frame around it. */
function contentPolicy(inlineScripts: readonly string[]): string {
  return [
    "default-src 'none'",
    `script-src 'self' ${inlineScripts.join(" ")}`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types lit-html",
  ].join("; ");
}

function isKnown(request: Request, etag: string): boolean {
  const known = request.headers["if-none-match"];
  return known?.split(",").some((one) => one.trim() === etag || one.trim() === "*") ?? false;
}

function send(response: Response, status: number, headers: OutgoingHttpHeaders, body?: string | Buffer): void {
  // The two response classes agree here, but their overloads do not unify.
  const writable = response as ServerResponse;
  writable.writeHead(status, headers);
  writable.end(body);
}
