/** Other people's NBD clients read our disks: libnbd's, QEMU's and fio's, over Unix sockets and over TCP with TLS. */
import { randomBytes } from "node:crypto";
import { mkdir, open, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { DiskHost } from "../../agent/disk/disk-host.ts";
import type { ExportStats, TlsFiles } from "../../agent/disk/messages.ts";
import { createLog } from "../../daemon/log.ts";
import { systemClock } from "../../swarm/system-clock.ts";
import { sha256Of } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { python, requireTool, run } from "../fixtures/tools.ts";

const pieceLengthBytes = 256 * 1024;
const pieceCount = 129;
/** Not a multiple of a sector, as an image of any kind may be. */
const sizeBytes = (pieceCount - 1) * pieceLengthBytes + 1_000;
/** Pieces with data; all others are holes. */
const dataPieces = [0, 1, 2, 7, 40, 41, 100, 128];

beforeAll(() => {
  for (const tool of ["nbdinfo", "nbdcopy", "nbdsh", "qemu-io", "qemu-img", "fio", "openssl"] as const)
    requireTool(tool);
});

/** A sparse image, served. */
async function serving(tcp?: { tls?: TlsFiles }) {
  const folder = await temporaryDirectory();
  const path = join(folder, "image.raw");
  await using file = await open(path, "w");
  const zero = new Uint8Array(new SharedArrayBuffer(Math.ceil(pieceCount / 8))).fill(0xff);
  for (const piece of dataPieces) {
    const length = Math.min(pieceLengthBytes, sizeBytes - piece * pieceLengthBytes);
    await file.write(randomBytes(length), 0, length, piece * pieceLengthBytes);
    zero[piece >> 3]! &= ~(0x80 >> (piece & 7));
  }
  const stats: ExportStats[] = [];
  const host = new DiskHost({
    log: createLog({ level: "silent", name: "test" }),
    clock: systemClock,
    events: {
      demand: () => {},
      served: () => {},
      readFailed: () => {},
      lost: () => {},
      bootImageBad: () => {},
      stats: ({ exports }) => stats.push(...exports),
    },
    ...(tcp && { tcp: { host: "127.0.0.1", port: await freePort(), ...tcp } }),
  });
  onTestFinished(() => host.close());
  const have = new SharedArrayBuffer(zero.length);
  const pieces = { pieceLengthBytes, have, zero: zero.buffer };
  host.addImage({ digest: "a".repeat(64), dataPath: path, sizeBytes, complete: true, pieces });
  const socketPath = join(folder, "nbd.sock");
  const spec = { id: "1", name: "vm disk", digest: "a".repeat(64), listen: { socketPath }, readTimeoutMs: 10_000 };
  const { uri, tcpUri } = await host.openExport(spec);
  return { folder, path, uri, tcpUri: tcpUri ?? "", socketPath, stats };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** nbdsh by Debian's Python, whichever is first on PATH. */
function nbdsh(script: string) {
  return run(python, ["-m", "nbd", "-c", script]);
}

test("nbdinfo reads the export's facts and its holes", async () => {
  const { uri } = await serving();
  const { stdout } = await run("nbdinfo", ["--json", uri]);
  expect(JSON.parse(stdout).exports[0]).toMatchObject({
    "export-name": "vm disk",
    "export-size": sizeBytes,
    is_read_only: true,
    can_multi_conn: true,
    can_df: true,
    can_flush: true,
    can_trim: false,
    block_size_minimum: 1,
  });
  const map = JSON.parse((await run("nbdinfo", ["--map", "--json", uri])).stdout) as { type: number; length: number }[];
  const data = map.filter(({ type }) => type === 0).reduce((sum, { length }) => sum + length, 0);
  expect(data).toBe(7 * pieceLengthBytes + 1_000);
  expect(map.map(({ type }) => type)).toEqual([0, 3, 0, 3, 0, 3, 0, 3, 0]);
  const { stdout: listed } = await run("nbdinfo", ["--list", "--json", uri.replace("vm%20disk", "")]);
  expect(JSON.parse(listed).exports[0]).toMatchObject({ "export-name": "vm disk" });
});

test.each([1, 4])("nbdcopy over %i connections makes the same file, and skips the holes", async (connections) => {
  const { uri, path, folder, stats } = await serving();
  const copy = join(folder, "copy.raw");
  await run("nbdcopy", [`--connections=${connections}`, uri, copy]);
  expect(await sha256Of(copy)).toBe(await sha256Of(path));
  expect((await stat(copy)).blocks * 512).toBeLessThan(sizeBytes / 2);
  const read = await eventually(() => stats.findLast(({ connections: open }) => open === 0), "the last totals");
  expect(read.readBytes).toBe(7 * pieceLengthBytes + 1_000);
});

test("nbdsh: structured reads, DF, block status, and what a read-only export refuses", async () => {
  const { uri } = await serving();
  const script = `
import errno
h.set_strict_mode(0)
h.add_meta_context("base:allocation")
h.connect_uri(${JSON.stringify(uri)})
assert h.get_structured_replies_negotiated() and h.can_df() and h.is_read_only() and h.can_multi_conn()
whole = h.pread(${8 * pieceLengthBytes}, 0)
chunks = []
def chunk(data, offset, status, error):
    chunks.append((offset, len(data), status))
buf = h.pread_structured(${8 * pieceLengthBytes}, 0, chunk)
assert buf == whole
assert any(status == nbd.READ_HOLE for (_, _, status) in chunks), chunks
chunks.clear()
assert h.pread_structured(300000, 1000, chunk, nbd.CMD_FLAG_DF) == whole[1000:301000]
assert len(chunks) == 1, chunks
extents = []
def extent(metacontext, offset, entries, error):
    extents.append(list(entries))
h.block_status(${sizeBytes}, 0, extent)
h.block_status(${sizeBytes}, 0, extent, nbd.CMD_FLAG_REQ_ONE)
assert len(extents[0]) == 18 and extents[1] == [${3 * pieceLengthBytes}, 0], extents
def refused(what, number):
    try:
        what()
    except nbd.Error as error:
        assert error.errnum == number, error
    else:
        raise AssertionError("not refused")
refused(lambda: h.pwrite(b"x" * 100000, 0), errno.EPERM)
refused(lambda: h.pwrite(b"x" * 512, 0, nbd.CMD_FLAG_FUA), errno.EPERM)
refused(lambda: h.trim(4096, 0), errno.EPERM)
refused(lambda: h.zero(4096, 0), errno.EPERM)
refused(lambda: h.pread(4096, ${sizeBytes}), errno.EINVAL)
refused(lambda: h.pread(2000000, 0, nbd.CMD_FLAG_DF), errno.EOVERFLOW)
h.flush()
h.cache(4096, 0)
assert h.pread(1000, ${sizeBytes - 1000}) == h.pread(1000, ${sizeBytes - 1000})
h.shutdown()
`;
  await nbdsh(script);
});

test("nbdsh: an old client without structured replies reads the same", async () => {
  const { uri, path } = await serving();
  const script = `
import hashlib
old = nbd.NBD()
old.set_request_structured_replies(False)
old.set_handshake_flags(0)
old.connect_uri(${JSON.stringify(uri)})
assert not old.get_structured_replies_negotiated()
data = old.pread(32 * 1024 * 1024, 0) + old.pread(${sizeBytes - 32 * 1024 * 1024}, 32 * 1024 * 1024)
print(hashlib.sha256(data).hexdigest())
`;
  const { stdout } = await nbdsh(script);
  expect(stdout.trim()).toBe(await sha256Of(path));
});

test("qemu-img finds it the same as the file, with the same holes; qemu-io may not write", async () => {
  const { uri, path } = await serving();
  await run("qemu-img", ["compare", "-f", "raw", "-F", "raw", path, uri]);
  const map = JSON.parse((await run("qemu-img", ["map", "--output=json", "-f", "raw", uri])).stdout);
  expect(map.filter(({ data }: { data: boolean }) => data)).toHaveLength(5);
  const read = await run("qemu-io", ["-r", "-f", "raw", "-c", "read -P 0 1M 512k", "-c", "aio_read 0 1M", uri]);
  expect(read.stdout).toMatch(/read 524288\/524288 bytes at offset 1048576/);
  await expect(run("qemu-io", ["-f", "raw", "-c", "write 0 4k", uri])).rejects.toThrow(/read-only|Permission/);
});

test("a qcow2 overlay on it is read and written", async () => {
  const { uri, folder } = await serving();
  const overlay = join(folder, "overlay.qcow2");
  await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", uri, "-F", "raw", overlay]);
  const commands = ["-c", "write -P 0x5a 0 64k", "-c", "read -P 0x5a 0 64k", "-c", "read -P 0 1M 64k"];
  const { stdout } = await run("qemu-io", ["-f", "qcow2", ...commands, overlay]);
  expect(stdout).not.toMatch(/failed|error/i);
});

test("fio's nbd engine reads at random, sixteen deep, without an error", async () => {
  const { uri } = await serving();
  const job = ["--name=a", "--ioengine=nbd", `--uri=${uri}`, "--rw=randread", "--bs=4k", "--iodepth=16", "--size=8m"];
  const { stdout } = await run("fio", [...job, "--output-format=json"]);
  const [result] = JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs;
  expect(result).toMatchObject({ error: 0, read: { total_ios: 2_048 } });
});

test("over TCP, TLS is required where it is configured; a client without the authority's certificate is refused", async () => {
  const folder = await temporaryDirectory();
  const { server, trusted, stranger } = await makeCertificates(folder);
  const { tcpUri, path } = await serving({ tls: server });
  expect(tcpUri).toMatch(/^nbds:\/\/127\.0\.0\.1:\d+\/vm%20disk$/);
  const named = tcpUri.replace("127.0.0.1", "localhost");
  const { stdout } = await run("nbdinfo", ["--json", `${named}?tls-certificates=${trusted}`]);
  expect(JSON.parse(stdout)).toMatchObject({ TLS: true, exports: [{ "export-size": sizeBytes }] });
  const copy = join(folder, "copy.raw");
  await run("nbdcopy", ["--connections=4", `${named}?tls-certificates=${trusted}`, copy]);
  expect(await sha256Of(copy)).toBe(await sha256Of(path));
  const { port } = new URL(tcpUri.replace("nbds:", "http:"));
  const credentials = `tls-creds-x509,id=tls0,dir=${trusted},endpoint=client`;
  const target = `driver=nbd,host=localhost,port=${port},export=vm disk,tls-creds=tls0`;
  const imageOpts = ["--object", credentials, "--image-opts"];
  await run("qemu-img", ["compare", ...imageOpts, `driver=raw,file.driver=file,file.filename=${path}`, target]);

  await expect(run("nbdinfo", [named.replace("nbds:", "nbd:")])).rejects.toThrow(/Operation not supported/);
  await expect(run("nbdinfo", [`${named}?tls-certificates=${stranger}`])).rejects.toThrow();
});

test("over TCP without TLS every export is reached by its name, and somebody who says nothing sensible is cut off", async () => {
  const { tcpUri } = await serving({});
  const { stdout } = await run("nbdinfo", ["--size", tcpUri]);
  expect(Number(stdout)).toBe(sizeBytes);
  const { port } = new URL(tcpUri.replace("nbd:", "http:"));
  const socket = connect(Number(port), "127.0.0.1");
  socket.end("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));
});

/** An authority, a server's certificate, a client's folder as libnbd and QEMU have it, and one of another authority. */
async function makeCertificates(folder: string) {
  const authority = await makeAuthority(folder, "authority");
  const other = await makeAuthority(folder, "other");
  const serverPair = await makeCertificate(folder, "server", authority);
  const clientFolder = async (name: string, signer: typeof authority) => {
    const directory = join(folder, name);
    await mkdir(directory);
    const pair = await makeCertificate(folder, `${name}-client`, signer);
    // The server's authority, in each case: what differs is who the client is.
    await run("cp", [authority.cert, join(directory, "ca-cert.pem")]);
    await run("cp", [pair.cert, join(directory, "client-cert.pem")]);
    await run("cp", [pair.key, join(directory, "client-key.pem")]);
    return directory;
  };
  return {
    server: { certPath: serverPair.cert, keyPath: serverPair.key, caPath: authority.cert } satisfies TlsFiles,
    trusted: await clientFolder("trusted", authority),
    stranger: await clientFolder("stranger", other),
  };
}

async function makeAuthority(folder: string, name: string) {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`];
  await run("openssl", [...made, "-addext", "keyUsage=keyCertSign", "-keyout", key, "-out", cert]);
  return { cert, key };
}

async function makeCertificate(folder: string, name: string, authority: { cert: string; key: string }) {
  const [cert, key, request] = [".pem", ".key", ".csr"].map((end) => join(folder, name + end)) as [
    string,
    string,
    string,
  ];
  const extensions = join(folder, `${name}.ext`);
  await writeFile(extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
  await run("openssl", [
    "req",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    key,
    "-out",
    request,
  ]);
  const signing = ["x509", "-req", "-in", request, "-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial"];
  await run("openssl", [...signing, "-days", "2", "-extfile", extensions, "-out", cert]);
  return { cert, key };
}
