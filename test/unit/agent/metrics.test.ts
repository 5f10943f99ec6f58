import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { fetchToEnd, startAgent } from "./running-agent.ts";
import { startScriptedSeeder } from "./scripted-seeder.ts";

test("every metric is there from the start, with its help, and counts", async () => {
  const bytes = randomBytes(100_000);
  const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
  const agent = await startAgent(seeder.url);
  const samples = async () => {
    const text = await (await fetch(`${agent.url}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith("bootswarm_agent_"));
    return { text, values: new Map(lines.map((line) => line.split(" ") as [string, string])) };
  };
  const { text, values } = await samples();
  const families = {
    bootswarm_agent_fetches_active: "gauge",
    bootswarm_agent_fetches_queued: "gauge",
    bootswarm_agent_fetches_waiting_for_space: "gauge",
    bootswarm_agent_fetch_seconds: "histogram",
    bootswarm_agent_evictions_total: "counter",
    bootswarm_agent_evicted_bytes_total: "counter",
    bootswarm_agent_received_bytes_total: "counter",
    bootswarm_agent_sent_bytes_total: "counter",
    bootswarm_agent_piece_verify_failures_total: "counter",
    bootswarm_agent_images_cached: "gauge",
    bootswarm_agent_cache_bytes: "gauge",
    bootswarm_agent_leases: "gauge",
    bootswarm_agent_peers: "gauge",
    bootswarm_agent_dht_nodes: "gauge",
    bootswarm_agent_seconds_since_progress: "gauge",
    bootswarm_agent_reports_total: "counter",
  };
  for (const [family, type] of Object.entries(families)) {
    expect(text).toContain(`# TYPE ${family} ${type}\n`);
    expect(text).toMatch(new RegExp(`# HELP ${family} .+\n`));
  }
  expect(values.get('bootswarm_agent_received_bytes_total{source="http"}')).toBe("0");
  expect(values.get('bootswarm_agent_fetch_seconds_count{result="failed"}')).toBe("0");
  await fetchToEnd(agent, "image");
  const after = (await samples()).values;
  expect(after.get('bootswarm_agent_received_bytes_total{source="http"}')).toBe(String(bytes.length));
  expect(after.get('bootswarm_agent_received_bytes_total{source="swarm"}')).toBe("0");
  expect(after.get('bootswarm_agent_fetch_seconds_count{result="ready"}')).toBe("1");
  expect(after.get("bootswarm_agent_images_cached")).toBe("1");
  expect(Number(after.get("bootswarm_agent_cache_bytes"))).toBeGreaterThanOrEqual(bytes.length);
});
