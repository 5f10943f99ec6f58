/** Which hosts have room for one more VM: the filter of a scheduler that filters, then weighs. Pure. */
export class Hosts {
  readonly #vmsMax: number;
  readonly #vms: Map<string, number>;

  constructor(names: readonly string[], vmsMax: number) {
    this.#vmsMax = vmsMax;
    this.#vms = new Map(names.map((name) => [name, 0]));
  }

  /** In the order in which they were named. */
  withRoom(): string[] {
    return [...this.#vms].filter(([, vms]) => vms < this.#vmsMax).map(([name]) => name);
  }

  start(host: string): void {
    const vms = this.#vmsOn(host);
    if (vms >= this.#vmsMax) throw new Error(`${host} has no room`);
    this.#vms.set(host, vms + 1);
  }

  end(host: string): void {
    this.#vms.set(host, this.#vmsOn(host) - 1);
  }

  #vmsOn(host: string): number {
    const vms = this.#vms.get(host);
    if (vms === undefined) throw new Error(`there is no host ${host}`);
    return vms;
  }
}
