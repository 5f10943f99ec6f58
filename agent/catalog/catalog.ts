import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { Problem } from "../../daemon/problem.ts";
import { CatalogService, ImageEvent } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { ImageFacts } from "../cache/records.ts";
import type { Seeders } from "../seeders/seeders.ts";
import { imageFactsFrom } from "./image-facts.ts";

/** The seeder's catalog, as an agent asks it. */
export class Catalog {
  readonly #client: Client<typeof CatalogService>;
  readonly #seeders: Pick<Seeders, "url">;

  /** @param transport takes note of who answers (seederTransport) */
  constructor(transport: Transport, seeders: Pick<Seeders, "url">) {
    this.#client = createClient(CatalogService, transport);
    this.#seeders = seeders;
  }

  /** The seeder that is asked now. */
  get url(): string {
    return this.#seeders.url;
  }

  /**
   * Looks an image up by name or digest.
   *
   * @throws Problem "not-found", or "unavailable" if the seeder does not answer in time.
   */
  async getImage(image: string, timeoutMs: number): Promise<ImageFacts> {
    const { image: found } = await this.#ask(() => this.#client.getImage({ image }, { timeoutMs }));
    if (!found) throw new Problem("data-loss", "the catalog's answer holds no image");
    return imageFactsFrom(found);
  }

  /**
   * What a boot of an image reads, as boot/profile.ts writes it.
   *
   * @throws Problem "not-found" if that was never recorded, or "unavailable".
   */
  async bootProfile(digest: string, timeoutMs: number): Promise<Uint8Array> {
    return (await this.#ask(() => this.#client.getBootProfile({ image: digest }, { timeoutMs }))).profile;
  }

  /**
   * Claims the recording of an image's boot, or extends the claim.
   *
   * @throws Problem "conflict" if another node records it, "already-exists" if that was done, or "unavailable".
   */
  async claimBootRecording(
    claim: { image: string; nodeId: string; nodeName: string; durationMs: number },
    timeoutMs: number,
  ): Promise<void> {
    await this.#ask(() => this.#client.claimBootRecording(claim, { timeoutMs }));
  }

  async releaseBootRecording(claim: { image: string; nodeId: string }, timeoutMs: number): Promise<void> {
    await this.#ask(() => this.#client.releaseBootRecording(claim, { timeoutMs }));
  }

  /** Streams every image, then every change. Ends or throws when the seeder goes away; the signal ends it. */
  async *watch(signal: AbortSignal): AsyncGenerator<{ retired: boolean; facts: ImageFacts }> {
    try {
      for await (const { event, image } of this.#client.watchImages({}, { signal })) {
        if (image) yield { retired: event === ImageEvent.RETIRED, facts: imageFactsFrom(image) };
      }
    } catch (error) {
      if (signal.aborted) return;
      throw problemFromSeeder(error, this.#seeders.url);
    }
  }

  async #ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw problemFromSeeder(error, this.#seeders.url);
    }
  }
}

/** What an agent makes of an error of a call to the seeder. "unavailable" means that the seeder did not answer. */
export function problemFromSeeder(error: unknown, url: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ConnectError) {
    // The transport knows whom it asked.
    if (error.cause instanceof Problem) return error.cause;
    switch (error.code) {
      case Code.NotFound:
        return new Problem("not-found", error.rawMessage);
      case Code.AlreadyExists:
        return new Problem("already-exists", error.rawMessage);
      case Code.FailedPrecondition:
        return new Problem("conflict", error.rawMessage);
      case Code.InvalidArgument:
        return new Problem("invalid", error.rawMessage);
      case Code.DeadlineExceeded:
        return new Problem("unavailable", `the seeder at ${url} did not answer in time`);
      case Code.Unimplemented:
        return new Problem("unavailable", `what answers at ${url} is no bootswarm seeder; check seeder.url`);
      default:
        return new Problem("unavailable", `the seeder at ${url} does not answer: ${error.rawMessage}`, {
          cause: error.cause,
        });
    }
  }
  return new Problem("unavailable", `the seeder at ${url} does not answer`, { cause: error });
}
