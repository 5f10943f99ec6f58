/** Lists that the seeder gives page by page, put together. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";
import {
  type InventoryService,
  type ListHoldingsRequestSchema,
  type ListHoldingsResponse,
  ListHoldingsResponseSchema,
  type ListNodesRequestSchema,
  type ListNodesResponse,
  ListNodesResponseSchema,
} from "../proto/gen/bootswarm/seeder/v1/inventory_pb.js";

type Inventory = Client<typeof InventoryService>;

/** Pages asked for: more nodes than a seeder knows. A seeder that gives ever more must not keep a command for ever. */
const pagesMax = 1_000;

/** All nodes that are asked for, as one answer. */
export async function allNodes(
  inventory: Inventory,
  asked: MessageInitShape<typeof ListNodesRequestSchema>,
  call: CallOptions,
): Promise<ListNodesResponse> {
  const all = create(ListNodesResponseSchema);
  for await (const page of pages((pageToken) => inventory.listNodes({ ...asked, pageToken } as typeof asked, call))) {
    all.nodes.push(...page.nodes);
    [all.up, all.lost] = [page.up, page.lost];
  }
  return all;
}

/** All nodes that have a part in an image, as one answer. */
export async function allHoldings(
  inventory: Inventory,
  asked: MessageInitShape<typeof ListHoldingsRequestSchema>,
  call: CallOptions,
): Promise<ListHoldingsResponse> {
  const all = create(ListHoldingsResponseSchema);
  for await (const page of pages((pageToken) =>
    inventory.listHoldings({ ...asked, pageToken } as typeof asked, call),
  )) {
    all.digest = page.digest;
    all.nodes.push(...page.nodes);
    [all.holdingNodes, all.fetchingNodes] = [page.holdingNodes, page.fetchingNodes];
  }
  return all;
}

async function* pages<Page extends { nextPageToken: string }>(
  get: (pageToken: string) => Promise<Page>,
): AsyncIterableIterator<Page> {
  let pageToken = "";
  for (let count = 0; count < pagesMax; count++) {
    const page = await get(pageToken);
    yield page;
    if (page.nextPageToken === "") return;
    pageToken = page.nextPageToken;
  }
}
