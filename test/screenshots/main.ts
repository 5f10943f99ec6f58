/**
 * npm run screenshots: pictures of the dashboard over simulated sites, in Chromium. The two of the documentation go to
 * docs/; `npm run screenshots -- FOLDER` puts more of them into a folder, to be looked at.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { openScene, type SceneOptions } from "./scene.ts";

const docs = join(import.meta.dirname, "../../docs");
const small: SceneOptions = { nodes: 60, zones: 4, images: 14, seconds: 70 };
const large: SceneOptions = { nodes: 2_000, zones: 20, images: 60, seconds: 20 };
/** What passes for a working second between one picture and the next. */
const settleMs = 1_500;

const folder = process.argv[2] === undefined ? undefined : resolve(process.env.INIT_CWD ?? ".", process.argv[2]);
if (folder) mkdirSync(folder, { recursive: true });
mkdirSync(docs, { recursive: true });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  await picture(browser, small, "small", "light", join(docs, "dashboard-light.png"));
  await picture(browser, large, "large", "dark", join(docs, "dashboard-dark.png"));
} finally {
  await browser.close();
}

async function picture(
  browser: Browser,
  options: SceneOptions,
  name: string,
  colorScheme: "light" | "dark",
  path: string,
): Promise<void> {
  await using scene = await openScene(options);
  await scene.work(options.seconds);
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme });
  await page.goto(scene.url);
  await page.locator(".map-name").first().waitFor();
  await scene.work(2);
  await page.screenshot({ path });
  console.log(path);
  if (folder) await more(page, scene.work, (shot) => join(folder, `dashboard-${name}-${shot}.png`));
  await page.close();
}

/** The whole page in both schemes, a node's and an image's details, a wide screen and a telephone. */
async function more(
  page: Page,
  work: (seconds: number) => Promise<void>,
  pathOf: (shot: string) => string,
): Promise<void> {
  const shoot = async (shot: string, fullPage = true) => {
    await work(1);
    await page.waitForTimeout(settleMs);
    await page.screenshot({ path: pathOf(shot), fullPage });
    console.log(pathOf(shot));
  };
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await shoot(colorScheme);
  }
  await page.setViewportSize({ width: 1920, height: 1080 });
  await page.locator("#progress tbody button").first().click();
  await shoot("image-1920", false);
  await page.locator("#detail-nodes tbody button").first().click();
  await shoot("node-1920", false);
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 390, height: 844 });
  await shoot("phone");
}
