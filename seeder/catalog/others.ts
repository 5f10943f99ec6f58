/** What the catalog needs of the other seeders that share it. They live in seeder/replicas and are wired in seeder.ts. */
import { Problem } from "../../daemon/problem.ts";
import type { Image } from "./image.ts";

/** An image's bytes are not here, and may be later. */
export class Absent extends Problem {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super("unavailable", message);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface Others {
  /** Says that the bytes of these images are here, and of no others. */
  holdAll(digests: Iterable<string>): Promise<void>;
  /** Says that an image's bytes are here now. False if it is not in the catalog any more. */
  hold(digest: string): Promise<boolean>;
  /** Ends a copy of an image that is under way: its bytes have come otherwise, or it is gone. */
  endCopy(digest: string): Promise<void>;
  /** URL of a live seeder that holds an image; undefined if there is none. */
  elsewhere(digest: string): Promise<string | undefined>;
  /** Why an image's bytes, which are not here, cannot be had here now. */
  absent(image: Image): Absent;
}
