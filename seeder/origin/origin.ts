/** Image bytes by plain HTTP, beside the RPC services on the same port. */
import type { HttpHandler, Request, Response } from "../../daemon/listener.ts";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { sendError } from "./answers.ts";
import { answerDownload, answerTorrent, type DownloadParts } from "./download.ts";
import { type ImageRoute, imageRouteFrom } from "./route.ts";
import { sendOn, wasSentOn } from "./send-on.ts";
import { answerUpload, type UploadParts } from "./upload.ts";

export interface OriginParts extends DownloadParts, UploadParts {
  onAnswered: (status: number) => void;
  log: Log;
}

/** Answers requests at and below /images. */
export function createOrigin(parts: OriginParts): HttpHandler {
  return (request, response) => {
    const route = imageRouteFrom(request.url ?? "");
    if (!route) return false;
    answer(parts, route, request, response).then(parts.onAnswered, (error: unknown) => {
      parts.log.error({ url: request.url, error: messageOf(error) }, "a request could not be answered");
      response.destroy();
    });
    return true;
  };
}

async function answer(parts: OriginParts, route: ImageRoute, request: Request, response: Response): Promise<number> {
  try {
    if (request.method === "PUT") return await answerUpload(parts, route, request, response);
    if (request.method !== "GET" && request.method !== "HEAD") throw wrongMethod(route, request);
    if (route.kind === "none") throw nothingThere("NAME");
    const image = await parts.catalog.get(route.image);
    const elsewhere = route.kind === "image" ? undefined : await parts.catalog.elsewhere(image);
    if (elsewhere !== undefined && !wasSentOn(route)) {
      const path = route.kind === "data" ? `${image.digest}/data` : `${image.digest}.torrent`;
      return sendOn(response, `${elsewhere}/images/${path}`);
    }
    switch (route.kind) {
      case "data":
        return await answerDownload(parts, image, request, response);
      case "torrent":
        return await answerTorrent(parts, image, request, response);
      default:
        throw nothingThere(route.image);
    }
  } catch (error) {
    return sendError(response, error);
  }
}

function nothingThere(image: string): Problem {
  return new Problem(
    "not-found",
    `an image's bytes are at /images/${image}/data, its torrent at /images/${image}.torrent`,
  );
}

function wrongMethod(route: ImageRoute, request: Request): Problem {
  const allowed = route.kind === "image" ? "PUT uploads to /images/NAME" : "GET and HEAD read here";
  return new Problem("invalid", `${request.method} is not possible here; ${allowed}`);
}
