import { messageOf } from "../../daemon/problem.ts";

/** Whether the seeder answers, as of the last exchange with it of whatever kind. */
export class SeederLink {
  readonly url: string;
  #error: string | undefined = "no answer yet";
  #answeredAt: Date | undefined;
  readonly #now: () => Date;

  constructor(url: string, now: () => Date) {
    this.url = url;
    this.#now = now;
  }

  get reachable(): boolean {
    return this.#error === undefined;
  }

  /** Why not; empty if it is. */
  get error(): string {
    return this.#error ?? "";
  }

  /** When the seeder last answered. */
  get answeredAt(): Date | undefined {
    return this.#answeredAt;
  }

  answered(): void {
    this.#error = undefined;
    this.#answeredAt = this.#now();
  }

  failed(error: unknown): void {
    this.#error = messageOf(error);
  }
}
