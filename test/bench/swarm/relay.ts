/** `relay.ts SOCKET PORT`: passes what comes by a Unix socket on to a TCP port of its own network namespace. */
import { connect, createServer } from "node:net";

const [socketPath, port] = process.argv.slice(2) as [string, string];

const server = createServer((client) => {
  const daemon = connect(Number(port), "127.0.0.1");
  daemon.pipe(client).pipe(daemon);
  // Either end's error ends the other; who called hears of it.
  client.on("error", () => daemon.destroy()).on("close", () => daemon.destroy());
  daemon.on("error", () => client.destroy()).on("close", () => client.destroy());
});
server.listen(socketPath, () => process.stdout.write(`${JSON.stringify({ listening: socketPath })}\n`));
