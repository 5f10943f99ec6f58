/**
 * The files of the dashboard's page, in memory, under the paths that browsers ask for. Nothing else is served: a path is
 * looked up here, never on the disk.
 *
 * In a checkout the TypeScript sources are stripped of their types as they are loaded; an install has them compiled. Paths
 * are as in the source tree, so that the modules' own relative imports hold in the browser.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { extname, join } from "node:path";

export interface Asset {
  body: Buffer;
  /** Its media type. */
  type: string;
  /** A strong ETag, in its quotes. */
  etag: string;
}

export interface Assets {
  /** By path of the URL; "/" is the page. */
  files: ReadonlyMap<string, Asset>;
  /** What a Content-Security-Policy must let the page run inline: its import map, by hash. */
  inlineScripts: string[];
}

const scriptType = "text/javascript; charset=utf-8";
const types: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".js": scriptType,
  ".ts": scriptType,
};

const root = join(import.meta.dirname, "../..");
const pageFolder = "seeder/web/page";
/** Modules that the page shares with the command line. */
const sharedModules = ["figures/units"];
/** What the page uses of lit-html, and what that uses of itself. */
const litHtmlModules = [
  "lit-html.js",
  "directive.js",
  "directive-helpers.js",
  "directives/repeat.js",
  "directives/live.js",
];
const litHtmlPath = "/lit-html/";

/** Reads all files of the page. */
export async function loadAssets(): Promise<Assets> {
  const files = new Map<string, Asset>();
  // Running code knows which of the two it is: a source, or compiled.
  const extension = extname(import.meta.filename);
  const add = async (path: string, file: string) => files.set(path, assetFrom(file, await readFile(file)));
  for (const name of await readdir(join(root, pageFolder))) {
    if (!(extname(name) in types)) continue;
    await add(`/${pageFolder}/${name}`, join(root, pageFolder, name));
  }
  for (const name of sharedModules) await add(`/${name}${extension}`, join(root, `${name}${extension}`));
  const litHtml = litHtmlFolder();
  for (const name of litHtmlModules) await add(`${litHtmlPath}${name}`, join(litHtml, name));
  const page = (await readFile(join(root, pageFolder, "index.html"), "utf8"))
    .replaceAll("{page}", `/${pageFolder}`)
    .replaceAll("{extension}", extension);
  files.set("/", assetOf(Buffer.from(page), "text/html; charset=utf-8"));
  return { files, inlineScripts: inlineScriptsOf(page) };
}

/** Scripts without a `src`, as a Content-Security-Policy names them: by the hash of all that is between the tags. */
function inlineScriptsOf(page: string): string[] {
  return [...page.matchAll(/<script type="importmap">(.*?)<\/script>/gs)].map(
    ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`,
  );
}

function assetFrom(file: string, bytes: Buffer): Asset {
  const extension = extname(file);
  const body = extension === ".ts" ? Buffer.from(withoutTypes(bytes.toString("utf8"))) : bytes;
  return assetOf(body, types[extension] as string);
}

/** Node warns of the function at its first use, on the terminal of whoever runs a checkout; there is nothing to do about it. */
function withoutTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

function assetOf(body: Buffer, type: string): Asset {
  return { body, type, etag: `"${createHash("sha256").update(body).digest("base64url")}"` };
}

/** Where npm has put lit-html. Its package.json is no export of it, so the folder is found by its name. */
function litHtmlFolder(): string {
  const entry = createRequire(import.meta.url).resolve("lit-html");
  const folder = "/lit-html/";
  return entry.slice(0, entry.lastIndexOf(folder) + folder.length);
}
