/** Calls that another seeder of the same catalog answers, since it has the bytes that they need. */
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { CatalogService } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";

/** Says that a call was sent on once: it is not sent on again. */
const sentOnHeader = "bootswarm-sent-on";

/** A client of the catalog of the seeder at a URL, which the store told. */
export function otherCatalog(url: string): Client<typeof CatalogService> {
  return createClient(CatalogService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
}

export const sentOn = { headers: { [sentOnHeader]: "1" } };

export function wasSentOn(headers: Headers): boolean {
  return headers.has(sentOnHeader);
}
