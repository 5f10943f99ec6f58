import { expect, test } from "vitest";
import { startSeeder } from "../seeder/running-seeder.ts";

const pageModule = "/seeder/web/page/main.ts";

test("the page, its modules, its styles and lit-html are served with their types, and kept by their ETag", async () => {
  const { url } = await startSeeder();
  const page = await fetch(`${url}/`);
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const html = await page.text();
  const named = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path as string);
  expect(named).toContain(pageModule);
  for (const path of [...named, "/lit-html/lit-html.js", "/lit-html/directives/repeat.js", "/figures/units.ts"]) {
    const file = await fetch(`${url}${path}`);
    expect([path, file.status, file.headers.get("x-content-type-options")]).toEqual([path, 200, "nosniff"]);
    const type = path.endsWith("css") ? "text/css" : path.endsWith("svg") ? "image/svg+xml" : "text/javascript";
    expect(file.headers.get("content-type")).toContain(type);
    const etag = file.headers.get("etag") as string;
    expect((await fetch(`${url}${path}`, { headers: { "if-none-match": `"other", ${etag}` } })).status).toBe(304);
  }
});

test("every module that the page imports is served", async () => {
  const { url } = await startSeeder();
  const seen = new Set<string>();
  const follow = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const file = await fetch(`${url}${path}`);
    expect([path, file.status]).toEqual([path, 200]);
    for (const [, specifier = ""] of (await file.text()).matchAll(/(?:from|import)\s*"([^"\s]+)"/g)) {
      const place = specifier.replace(/^lit-html$/, "/lit-html/lit-html.js").replace(/^lit-html\//, "/lit-html/");
      await follow(new URL(place, `${url}${path}`).pathname);
    }
  };
  await follow(pageModule);
  expect(seen.size).toBeGreaterThan(20);
});

test("the page runs nothing but the seeder's own files, and is in no frame", async () => {
  const { url } = await startSeeder();
  const { headers } = await fetch(`${url}/`);
  const policy = headers.get("content-security-policy") ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).toMatch(/script-src 'self' 'sha256-[^']+';/);
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).toContain("require-trusted-types-for 'script'");
  expect(policy).not.toContain("unsafe");
  expect(headers.get("x-frame-options")).toBe("DENY");
  expect(headers.get("access-control-allow-origin")).toBeNull();
});

test("nothing else is served from the disk, and nothing is written", async () => {
  const { url } = await startSeeder();
  for (const path of ["/seeder/web/page/tsconfig.json", "/seeder/web/page/..%2fweb.ts", "/lit-html/package.json"]) {
    expect([path, (await fetch(`${url}${path}`)).status]).toEqual([path, 404]);
  }
  const posted = await fetch(`${url}/`, { method: "POST" });
  expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  const head = await fetch(`${url}/`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

test("a page of another site may not watch: there are no CORS headers, and a preflight is refused", async () => {
  const { url } = await startSeeder();
  const preflight = await fetch(`${url}/bootswarm.seeder.v1.DashboardService/Watch`, {
    method: "OPTIONS",
    headers: { origin: "http://elsewhere.example", "access-control-request-method": "POST" },
  });
  expect(preflight.ok).toBe(false);
  expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
});
