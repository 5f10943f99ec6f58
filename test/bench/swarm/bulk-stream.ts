/** One bare TCP stream, to see what a link carries: `bulk-stream.ts receive ADDRESS` or `bulk-stream.ts send ADDRESS PORT BYTES`. */
import { type AddressInfo, connect, createServer } from "node:net";

const [role, address, port, bytes] = process.argv.slice(2) as [string, string, string?, string?];
const chunk = Buffer.alloc(256 * 1024);
const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);

if (role === "receive") {
  const server = createServer((socket) => {
    let received = 0;
    const startMs = performance.now();
    socket.on("data", (data) => {
      received += data.length;
    });
    socket.on("end", () => {
      say({ bytesPerSecond: received / ((performance.now() - startMs) / 1_000) });
      socket.end();
      server.close();
    });
  });
  server.listen(0, address, () => say({ port: (server.address() as AddressInfo).port }));
} else {
  const socket = connect(Number(port), address);
  let left = Number(bytes);
  const push = () => {
    while (left > 0) {
      const next = chunk.subarray(0, Math.min(left, chunk.length));
      left -= next.length;
      if (!socket.write(next)) return;
    }
    socket.end();
  };
  socket.on("connect", push).on("drain", push);
}
