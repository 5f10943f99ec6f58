/** A boot image that is read from its file once, in order, while VMs already ask for what is in it. */
import { type FileHandle, open } from "node:fs/promises";
import {
  type BootImageHead,
  bootImageStart,
  decodeHead,
  frameContentBytes,
  startBytes,
} from "../../../boot/boot-image.ts";
import { frameBytes, pageBytes } from "../../../boot/limits.ts";
import { unpackFrame } from "../../../boot/unpack.ts";

const absent = -2;
const zero = -1;

export class BootMemory {
  /** For each page of the image: its number in the content, `zero` or `absent`. */
  readonly #places: Int32Array;
  readonly #frames: Promise<Uint8Array>[];

  private constructor(places: Int32Array, frames: Promise<Uint8Array>[]) {
    this.#places = places;
    this.#frames = frames;
  }

  /** Opens a boot image that has no sources, and begins to read it. */
  static async open(path: string): Promise<BootMemory> {
    const file = await open(path);
    const start = Buffer.alloc(startBytes);
    await file.read(start, 0, startBytes, 0);
    const headBytes = bootImageStart(start)?.headBytes;
    if (headBytes === undefined) throw new Error(`${path} is no boot image`);
    const bytes = Buffer.alloc(headBytes);
    await file.read(bytes, 0, headBytes, 0);
    const head = decodeHead(bytes);
    const places = new Int32Array(Math.ceil(head.profile.imageBytes / pageBytes)).fill(absent);
    for (const { page, pages, from, at } of head.segments) {
      for (let index = 0; index < pages; index++) places[page + index] = from === "zero" ? zero : at + index;
    }
    const frames = head.frames.map(() => Promise.withResolvers<Uint8Array>());
    void load(file, head, headBytes, frames);
    return new BootMemory(
      places,
      frames.map(({ promise }) => promise),
    );
  }

  /** Fills `target`, or says that something of it is not here. */
  async read(target: Uint8Array, offset: number): Promise<boolean> {
    const end = offset + target.length;
    const first = Math.floor(offset / pageBytes);
    for (let page = first; page * pageBytes < end; page++) if (this.#places[page] === absent) return false;
    for (let page = first; page * pageBytes < end; page++) {
      const from = Math.max(offset, page * pageBytes);
      const to = Math.min(end, (page + 1) * pageBytes);
      const place = this.#places[page] as number;
      if (place === zero) {
        target.fill(0, from - offset, to - offset);
        continue;
      }
      const at = place * pageBytes + (from - page * pageBytes);
      const frame = await (this.#frames[Math.floor(at / frameBytes)] as Promise<Uint8Array>);
      target.set(frame.subarray(at % frameBytes, (at % frameBytes) + to - from), from - offset);
    }
    return true;
  }
}

/** One read after the other; frames are unpacked beside them. */
async function load(
  file: FileHandle,
  head: BootImageHead,
  headBytes: number,
  frames: PromiseWithResolvers<Uint8Array>[],
): Promise<void> {
  let at = headBytes;
  for (const [index, frame] of head.frames.entries()) {
    const stored = Buffer.alloc(frame.storedBytes);
    await file.read(stored, 0, stored.length, at);
    at += stored.length;
    frames[index]?.resolve(unpackFrame(stored, frame, frameContentBytes(head, index)));
  }
}
