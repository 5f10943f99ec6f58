import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isPostgresUrl, postgresAddressFrom } from "../../../seeder/store/postgres-address.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

test.each([
  ["postgres://seeder:swordfish@db.example:5433/images", "postgres://seeder@db.example:5433/images"],
  ["postgresql://seeder@[2001:db8::1]/images?sslmode=verify-full", "postgres://seeder@[2001:db8::1]/images"],
  ["postgres://seeder:swordfish@/images?host=/run/postgresql", "postgres://seeder@/images?host=/run/postgresql"],
  ["postgres://db/images?user=seeder&password=swordfish", "postgres://seeder@db/images"],
])("%s is shown as %s, without its password", (url, shown) => {
  expect(isPostgresUrl(url)).toBe(true);
  expect(postgresAddressFrom(url, "")).toEqual({ url, shown });
});

test.each(["mysql://db/images", "postgres:db", "/var/lib/seeder.sqlite", "postgres://a:b@c:port/d"])(
  "%s is no URL of PostgreSQL",
  (text) => {
    expect(isPostgresUrl(text)).toBe(false);
    expect(() => postgresAddressFrom(text, "")).toThrow("store.url is no URL of PostgreSQL");
  },
);

test("a password file's line is the password, whatever is in it", async () => {
  const path = join(await temporaryDirectory(), "password");
  await writeFile(path, "p@ss w&rd%\n");
  expect(postgresAddressFrom("postgres://db/images", path).url).toBe(
    "postgres://db/images?password=p%40ss%20w%26rd%25",
  );
});

test("a password file that cannot be read, or holds no line, is named", async () => {
  const path = join(await temporaryDirectory(), "password");
  expect(() => postgresAddressFrom("postgres://db/images", path)).toThrow(/cannot read store.passwordFile/);
  await writeFile(path, "one\ntwo\n");
  expect(() => postgresAddressFrom("postgres://db/images", path)).toThrow(/must hold the password as its only line/);
});
