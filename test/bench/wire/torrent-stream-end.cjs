/** One end of the wire benchmark with torrent-stream as it comes. See bootswarm-end.ts. */
const { readFileSync } = require("node:fs");
const { dirname } = require("node:path");
const torrentStream = require("torrent-stream");

const [role, torrentPath, dataPath, port] = process.argv.slice(2);
const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const startedAtMs = performance.now();
const cpuAtStart = process.cpuUsage();
const engine = torrentStream(readFileSync(torrentPath), {
  path: dirname(dataPath),
  dht: false,
  tracker: false,
  verify: role === "seed",
});
engine.on("ready", () => {
  if (role === "seed") {
    engine.listen(0, () => report({ port: engine.swarm.port ?? engine.port }));
    return;
  }
  engine.files[0].select();
  engine.connect(`127.0.0.1:${port}`);
});
if (role === "leech") {
  engine.on("idle", () => {
    const cpu = process.cpuUsage(cpuAtStart);
    report({
      seconds: (performance.now() - startedAtMs) / 1_000,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      peakMib: process.resourceUsage().maxRSS / 1024,
    });
    process.exit(0);
  });
}
