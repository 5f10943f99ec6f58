/** The seeder that is measured, and its database. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { startPostgres } from "../../fixtures/postgres.ts";
import { freePort } from "../../fixtures/torrents.ts";
import { type BenchChild, launcherFromSources, startDaemon } from "../child.ts";

export class MeasuredSeeder implements AsyncDisposable {
  readonly url: string;
  readonly #settings: Record<string, string>;
  readonly #launcher: readonly string[];
  readonly #profiled: boolean;
  readonly #postgres: Awaited<ReturnType<typeof startPostgres>> | undefined;
  #child: BenchChild | undefined;

  private constructor(
    port: number,
    settings: Record<string, string>,
    profile: string | undefined,
    postgres: Awaited<ReturnType<typeof startPostgres>> | undefined,
  ) {
    const [node, ...rest] = launcherFromSources as [string, ...string[]];
    this.url = `http://127.0.0.1:${port}`;
    this.#settings = { ...settings, listen: `127.0.0.1:${port}` };
    this.#launcher = [node, ...(profile ? ["--cpu-prof", `--cpu-prof-dir=${profile}`] : []), ...rest];
    this.#profiled = profile !== undefined;
    this.#postgres = postgres;
  }

  /** Makes its place, in which it is then to be started. */
  static async make(store: string, folder: string, profile: string | undefined): Promise<MeasuredSeeder> {
    const postgres = store === "postgres" ? await startPostgres() : undefined;
    const url = await postgres?.createDatabase();
    const settings = { dataDirectory: join(folder, store), ...(url !== undefined && { "store.url": url }) };
    return new MeasuredSeeder(await freePort(), settings, profile, postgres);
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    this.#child = (await startDaemon("seeder", this.#settings, this.#launcher)).process;
  }

  /** Undefined while it is away. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Under a profile it must end by itself for the profile to be written. */
  async kill(signal: NodeJS.Signals = this.#profiled ? "SIGTERM" : "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await child?.end(signal);
  }

  /** Empties the database, while the seeder is away. */
  async deleteDatabase(): Promise<void> {
    const { "store.url": url, dataDirectory } = this.#settings;
    if (!this.#postgres || url === undefined) {
      for (const ending of ["", "-wal", "-shm"]) {
        rmSync(join(dataDirectory as string, `seeder.sqlite${ending}`), { force: true });
      }
      return;
    }
    await this.#postgres.query(url, "drop schema public cascade");
    await this.#postgres.query(url, "create schema public");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#postgres?.remove();
  }
}
