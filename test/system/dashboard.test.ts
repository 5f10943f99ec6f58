/** The dashboard in a real browser, beside a real seeder and real nodes: what the page says is what the API says. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { openPage, startBrowser } from "../fixtures/browser.ts";
import { ensure, publish, startAgent, startSeeder, type TestSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { SimulatedSite } from "../fixtures/simulated-site.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { withinTest } from "../fixtures/test-hooks.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await startBrowser();
});

afterAll(async () => {
  await browser?.close();
});

/** A test that runs beside the others: most of their time each waits for its own seeder, page, or second. */
const together = (name: string, body: () => Promise<void>) =>
  test.concurrent(name, (context) => withinTest(context, body));

/** Elements of the page, whatever the site's size: what a browser draws anew each second without a thought. */
const elementsMax = 4_000;

const rowOf = (page: Page, digest: string) => page.locator(`.map-name[data-digest="${digest}"]`);
const figure = (page: Page, id: string) => page.locator(`#figure-${id}`);
const background = (page: Page) => page.evaluate("getComputedStyle(document.body).backgroundColor") as Promise<string>;

/** Waits until a locator's text has a match. */
async function shows(page: Page, selector: string, pattern: RegExp | string): Promise<void> {
  await page.locator(selector).filter({ hasText: pattern }).first().waitFor();
}

async function holdersOf(seeder: TestSeeder, digest: string): Promise<number> {
  return (await seeder.inventory.listHoldings({ image: digest })).holdingNodes;
}

test("the page's figures are the API's: nodes, holdings, what is on its way, one node, one image", async () => {
  const directory = await temporaryDirectory();
  // Slow enough for the large image to be under way while it is looked at.
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 512 * 1024 });
  const small = await publish(seeder, await makeRandomFile(directory, "small", 2), "small");
  const agents = await Promise.all(
    ["node-1", "node-2", "node-3"].map((name, index) =>
      startAgent(seeder.url, join(directory, name), { zone: index < 2 ? "rack-a" : "rack-b" }, name),
    ),
  );
  const { page, faults } = await openPage(browser, seeder.url);
  await Promise.all(agents.slice(0, 2).map((agent) => ensure(agent, "small")));
  const large = await publish(seeder, await makeRandomFile(directory, "large", 48), "large");
  const call = new AbortController();
  const fetching = ensureUntil(agents[2]!, "large", call.signal);

  await shows(page, "#figure-nodes", "3 up");
  await page.locator(`.map-name[data-digest="${small.digest}"][data-cached="2"]`).waitFor();
  expect(await holdersOf(seeder, small.digest)).toBe(2);
  expect((await seeder.inventory.listNodes({})).up).toBe(3);
  await shows(page, "#progress tbody tr", "large");
  await shows(page, "#figure-fetches", "1 fetch");
  expect(await rowOf(page, large.digest).getAttribute("data-fetching")).toBe("1");
  await shows(page, "#events", "large published");
  await shows(page, "#events", /small ready on node-[12]/);
  await shows(page, "#flows", "rack-b");
  await shows(page, ".health", "All well");

  // What grows is between the API's figures of before and after.
  const percent = async () => {
    const [fetch] = (await seeder.inventory.getNode({ node: "node-3" })).fetches;
    expect(fetch).toMatchObject({ digest: large.digest, state: FetchState.ACTIVE, sizeBytes: large.sizeBytes });
    return Math.floor((100 * Number(fetch!.doneBytes)) / Number(fetch!.sizeBytes));
  };
  const before = await eventually(async () => (await percent()) || undefined, "some of the image is there");
  await eventually(async () => {
    const text = await page.locator("#progress tbody tr .percent").textContent();
    return Number.parseInt(text ?? "", 10) >= before || undefined;
  }, "the page is as far");
  const shown = Number.parseInt((await page.locator("#progress tbody tr .percent").textContent()) ?? "", 10);
  expect(shown).toBeLessThanOrEqual(
    await eventually(async () => ((await percent()) >= shown ? await percent() : undefined), "the API says so too"),
  );

  await rowOf(page, small.digest).click();
  await shows(page, "#detail", "Cached on2 nodes");
  const holders = (await seeder.inventory.listHoldings({ image: "small" })).nodes.map(({ nodeName }) => nodeName);
  expect(
    (await page.locator("#detail-nodes tbody td.name").allTextContents()).map((text) => text.trim()).toSorted(),
  ).toEqual(holders.toSorted());
  await page.locator("#detail-nodes tbody button", { hasText: "node-1" }).click();
  await page.locator("#detail-holdings tbody tr").waitFor();
  const { holdings } = await seeder.inventory.getNode({ node: "node-1" });
  expect(await page.locator("#detail-holdings tbody tr").count()).toBe(holdings.length);
  expect(await page.locator("#detail-holdings tbody td.name").allTextContents()).toEqual(["small"]);

  call.abort();
  await fetching;
  expect(faults).toEqual([]);
});

/** Fetches until the signal aborts, whatever comes of it. */
async function ensureUntil(agent: Awaited<ReturnType<typeof startAgent>>, image: string, signal: AbortSignal) {
  try {
    for await (const _ of agent.service.ensureImage({ image }, { signal }));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** A seeder with some images and simulated nodes, all of which have reported. */
async function siteOf(nodes: number, images: number, zones: number, seederPort = 0) {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(directory, { listen: `127.0.0.1:${seederPort}` });
  const published = Array.from({ length: images }, (_, number) => {
    const name = `image-${String(number).padStart(2, "0")}`;
    return { digest: createHash("sha256").update(name).digest("hex"), name, sizeBytes: 1024 ** 3 };
  });
  // Fewer at once than a seeder takes.
  for (let start = 0; start < images; start += 10) {
    const some = published.slice(start, start + 10);
    await Promise.all(some.map(({ name }) => fetch(`${seeder.url}/images/${name}`, { method: "PUT", body: name })));
  }
  const site = new SimulatedSite(seeder.url, {
    ...{ nodes, zones, images: published, linkBytesPerSecond: 1024 ** 2, seed: 3 },
    // Longer than the test: nobody is lost because a busy machine lets it wait.
    reportIntervalMs: 600_000,
  });
  site.fill(0.8, 0.95);
  site.roll(published[0]!, 0.5, undefined, 0.4);
  site.step(1);
  await site.report();
  return { directory, seeder, site, images: published };
}

together("everything is reached by keyboard: filter, map, details, help, theme", async () => {
  const { seeder, site, images } = await siteOf(12, 4, 3);
  const { page, faults } = await openPage(browser, seeder.url);
  await shows(page, "#figure-nodes", "12 up");
  const focused = () =>
    page.evaluate("document.activeElement.id || document.activeElement.className") as Promise<string>;

  await page.keyboard.press("Tab");
  expect(await page.evaluate("document.activeElement.textContent")).toBe("What needs attention");
  await page.keyboard.press("/");
  expect(await focused()).toBe("filter");
  const wanted = site.nodes[7]!;
  await page.keyboard.type(wanted.name);
  await shows(page, ".map-corner", "4 images × 1 node");
  await page.keyboard.press("Enter");
  await shows(page, "#detail h2", wanted.name);
  await page.locator("#detail:focus").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#detail").waitFor({ state: "detached" });
  await page.locator("#filter:focus").waitFor();
  await page.keyboard.press("Escape");
  await shows(page, ".map-corner", "4 images × 12 nodes");

  await page.locator("#filter").blur();
  await page.keyboard.press("m");
  expect(await focused()).toBe("map-canvas");
  for (const key of ["ArrowDown", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
  // The nodes in the page's order, the images too: where the cursor is now.
  const names = await page.locator(".map-name-text").allTextContents();
  const image = images.find(({ name }) => name === names[1])!;
  const node = site.nodes.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))[2]!;
  const state = node.held.has(image)
    ? "cached"
    : node.fetches.some((one) => one.image === image)
      ? "on its way"
      : "not there";
  await shows(page, "#map-readout", `${image.name} on ${node.name} (${node.zone}): ${state}`);
  await page.keyboard.press("Enter");
  await shows(page, "#detail h2", node.name);
  await page.keyboard.press("Escape");
  await page.locator("#map-canvas:focus").waitFor();
  await page.keyboard.press("Shift+Enter");
  await shows(page, "#detail h2", image.name);
  await page.keyboard.press("Escape");

  await page.keyboard.press("?");
  await page.locator("#help[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#help[open]").waitFor({ state: "detached" });
  const light = await background(page);
  await page.keyboard.press("t");
  await page.keyboard.press("t");
  await page.locator('html[data-theme="dark"]').waitFor();
  expect(await background(page)).not.toBe(light);
  await page.reload();
  await page.locator('html[data-theme="dark"]').waitFor();
  expect(faults).toEqual([]);
});

together("the system's scheme is followed, on the map too", async () => {
  const { seeder } = await siteOf(6, 2, 1);
  const { page } = await openPage(browser, seeder.url, { colorScheme: "dark" });
  await shows(page, "#figure-nodes", "6 up");
  const pixels = () =>
    page.evaluate(
      "Array.from(document.querySelector('#map-canvas').getContext('2d').getImageData(3, 40, 60, 40).data).join()",
    );
  const [darkGround, darkMap] = [await background(page), await pixels()];
  await page.emulateMedia({ colorScheme: "light" });
  await eventually(async () => ((await pixels()) !== darkMap ? true : undefined), "the map is painted anew");
  expect(await background(page)).not.toBe(darkGround);
});

together(
  "a seeder that is gone is said to be, with the age of the figures; when it is back the page goes on",
  async () => {
    const { directory, seeder } = await siteOf(5, 2, 1);
    const { page, faults } = await openPage(browser, seeder.url);
    await shows(page, "#figure-nodes", "5 up");
    await seeder.process.kill("SIGKILL");
    await shows(page, "#lost", /No connection to the seeder: .+ All figures are of \d\d:\d\d:\d\d/);
    await shows(page, ".connection", "Connection lost");
    await shows(page, ".health", "Not known");
    await shows(page, "#figure-nodes", "5 up");
    expect(await page.title()).toBe("? bootswarm");
    await startSeeder(directory, { listen: new URL(seeder.url).host });
    await shows(page, ".connection", "Live");
    await page.locator("#lost").waitFor({ state: "detached" });
    await shows(page, "#figure-nodes", "5 up");
    expect(faults).toEqual([]);
  },
);

together("what nodes call themselves is text and nothing else", async () => {
  const { seeder } = await siteOf(2, 1, 1);
  const name = '<img src=x onerror="document.title=1">';
  await seeder.inventory.report({
    ...{ node: { id: "evil", name, reportIntervalMs: 600_000 }, epoch: 1n, sequence: 1n, full: true },
    fetches: [
      {
        digest: "e".repeat(64),
        name: "<b>image</b>",
        state: FetchState.PAUSED,
        error: "<script>document.title=2</script>",
      },
    ],
  });
  const { page, faults } = await openPage(browser, seeder.url);
  await shows(page, "#attention", "<script>document.title=2</script>");
  await shows(page, "#attention", name);
  expect(await page.locator("main img, main script, main b").count()).toBe(0);
  expect(await page.title()).toBe("(1) bootswarm");
  expect(faults).toEqual([]);
});

test("two thousand nodes and sixty images are one page of bounded size, in which any node is found", async () => {
  const { seeder, site } = await siteOf(2_000, 60, 20);
  const { page, faults } = await openPage(browser, seeder.url);
  await shows(page, "#figure-nodes", "2,000 up");
  await shows(page, ".map-corner", "60 images × 2,000 nodes");
  const held = site.nodes.reduce((sum, { held }) => sum + held.size, 0);
  await shows(page, "#figure-copies", held.toLocaleString("en"));
  const elements = (await page.evaluate("document.querySelectorAll('*').length")) as number;
  expect(elements).toBeLessThan(elementsMax);
  site.step(1);
  await site.report(site.nodes.slice(0, 500));
  const active = (await seeder.inventory.listNodes({})).nodes.reduce((sum, node) => sum + node.fetchesActive, 0);
  await shows(page, "#figure-fetches", `${active.toLocaleString("en")} fetches`);
  expect(await page.evaluate("document.querySelectorAll('*').length")).toBeLessThan(elementsMax);
  await page.locator("#filter").fill("rack-13-node-77");
  await shows(page, ".map-corner", "60 images × 1 node");
  await page.locator("#filter").fill("rack-13");
  await shows(page, ".map-corner", "60 images × 100 nodes");
  await figure(page, "nodes").waitFor();
  expect(faults).toEqual([]);
});
