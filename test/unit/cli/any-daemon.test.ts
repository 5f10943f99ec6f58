import { Code, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { anyDaemonOf } from "../../../cli/any-daemon.ts";
import { type DaemonAddress, daemonAddressesFrom } from "../../../cli/daemon-address.ts";
import { CatalogService } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";

const answering = (listImages: () => Record<string, never>) =>
  createRouterTransport(({ service }) => {
    service(CatalogService, { listImages });
  });
const sound = answering(() => ({}));
const failing = (code: Code) =>
  answering(() => {
    throw new ConnectError("it is so", code);
  });

function anyOf(transports: Record<string, Transport>) {
  const addresses = daemonAddressesFrom("seeder", Object.keys(transports).join(","));
  const any = anyDaemonOf(addresses, ({ url }: DaemonAddress) => transports[url] as Transport);
  return { any, client: createClient(CatalogService, any.transport) };
}

test("of several daemons the first that answers is asked, also by calls at the same time", async () => {
  const { any, client } = anyOf({
    "http://a": failing(Code.Unavailable),
    "http://b": sound,
    "http://c": failing(Code.Unavailable),
  });
  await Promise.all([client.listImages({}), client.listImages({}), client.listImages({})]);
  expect(any.address.url).toBe("http://b");
});

test("a refusal is an answer", async () => {
  const { any, client } = anyOf({ "http://a": failing(Code.NotFound), "http://b": sound });
  await expect(client.listImages({})).rejects.toThrow("it is so");
  expect(any.address.url).toBe("http://a");
});

test("where none answers, all are named", async () => {
  const { client } = anyOf({ "http://a": failing(Code.Unavailable), "http://b": failing(Code.Unavailable) });
  await expect(client.listImages({})).rejects.toThrow(
    "no seeder answers at any of http://a, http://b. Start one with `bootswarm seeder --data DIR`, or point to others.",
  );
});

test("addresses are read with commas between, and each must be one", () => {
  expect(daemonAddressesFrom("seeder", "http://a, unix:/b").map(({ url }) => url)).toEqual(["http://a", "unix:/b"]);
  expect(() => daemonAddressesFrom("seeder", "http://a,b")).toThrow('--seeder "b" is no address');
  expect(() => daemonAddressesFrom("seeder", Array(17).fill("http://a").join(","))).toThrow("17 addresses");
});
