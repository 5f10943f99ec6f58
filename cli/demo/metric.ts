import { Client } from "undici";
import { CliError } from "../cli-error.ts";

/** The value of a metric without labels, read from a daemon's /metrics. */
export async function readMetric(url: string, name: string): Promise<number> {
  const client = new Client(url);
  try {
    const answer = await client.request({ method: "GET", path: "/metrics" });
    const line = (await answer.body.text()).split("\n").find((each) => each.startsWith(`${name} `));
    if (line === undefined) throw new CliError(`${url}/metrics has no ${name}`);
    return Number(line.slice(name.length + 1));
  } finally {
    await client.destroy();
  }
}
