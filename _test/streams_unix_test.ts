import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  getRunningLoop,
  openUnixConnection,
  run,
  type Server,
  startUnixServer,
} from "@asyncio/asyncio";
import { bytes, close, readAll, text, writeAll } from "./_streams.ts";

/** A path for a socket in a temporary directory, which is removed afterwards. */
class SocketPath implements AsyncDisposable {
  readonly directory: string = Deno.makeTempDirSync();
  readonly path = `${this.directory}/socket`;

  exists(): boolean {
    return [...Deno.readDirSync(this.directory)].length > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

function echo(path: string): Promise<Server> {
  return startUnixServer(async (reader, writer) => {
    for await (const line of reader) writer.write(`echo ${text(line)}`);
    writer.close();
  }, path);
}

Deno.test("openUnixConnection() talks to a plain Deno peer [test_streams.StreamTests.test_open_unix_connection]", async () => {
  await using at = new SocketPath();
  const listener = Deno.listen({ transport: "unix", path: at.path });
  const accepted = listener.accept();
  const [reader, writer] = await openUnixConnection(at.path);
  const conn = await accepted;
  writer.write("request\n");
  const buffer = new Uint8Array(100);
  const count = await conn.read(buffer);
  await writeAll(conn, `got ${text(buffer.subarray(0, count!))}and more`);
  conn.close();
  assertEquals(text(await reader.readline()), "got request\n");
  assertEquals(text(await reader.read()), "and more");
  writer.close();
  await writer.waitClosed();
  listener.close();
});

Deno.test("startUnixServer() echoes lines [test_streams.StreamTests.test_start_unix_server]", async () => {
  const reports: string[] = [];
  await using at = new SocketPath();
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, { message }) =>
      reports.push(message)
    );
    await using _server = await echo(at.path);
    const [reader, writer] = await openUnixConnection(at.path);
    writer.write("hello\n");
    assertEquals(text(await reader.readline()), "echo hello\n");
    assertEquals(writer.getExtraInfo("peername"), {
      transport: "unix",
      path: at.path,
    });
    writer.close();
    await writer.waitClosed();
  });
  assertEquals(reports, []);
});

Deno.test("startUnixServer() calls a plain function too", async () => {
  await using at = new SocketPath();
  await using _server = await startUnixServer((_reader, writer) => {
    writer.write("welcome\n");
    writer.close();
  }, at.path);
  const [reader, writer] = await openUnixConnection(at.path);
  assertEquals(text(await reader.read()), "welcome\n");
  writer.close();
});

Deno.test("StreamReader throws the error of a Unix connection that breaks [test_streams.StreamTests.test_open_unix_connection_error]", async () => {
  await using at = new SocketPath();
  const listener = Deno.listen({ transport: "unix", path: at.path });
  const accepted = listener.accept();
  const [reader, writer] = await openUnixConnection(at.path);
  const conn = await accepted;
  conn.close();
  await assertRejects(async () => {
    for (;;) {
      writer.write("data");
      await writer.drain();
    }
  }, Deno.errors.BrokenPipe);
  await assertRejects(() => writer.waitClosed(), Deno.errors.BrokenPipe);
  assertEquals(text(await reader.read().catch(() => bytes("error"))), "error");
  listener.close();
});

Deno.test("openUnixConnection() names the path that it could not connect to", async () => {
  await using at = new SocketPath();
  await assertRejects(
    () => openUnixConnection(at.path),
    Deno.errors.NotFound,
    `Cannot connect to ${at.path}`,
  );
  const long = `/tmp/${"x".repeat(200)}`;
  await assertRejects(() => openUnixConnection(long), TypeError, long);
  await assertRejects(
    () => openUnixConnection(12 as unknown as string),
    TypeError,
    "path",
  );
  await assertRejects(
    () => openUnixConnection(at.path, { tls: true } as never),
    Deno.errors.NotSupported,
    '"tls"',
  );
});

Deno.test("startUnixServer() names the path that it could not listen on", async () => {
  await using at = new SocketPath();
  const long = `/tmp/${"x".repeat(200)}`;
  await assertRejects(() => startUnixServer(() => {}, long), TypeError, long);
  await assertRejects(
    () => startUnixServer(() => {}, `${at.path}/nowhere/socket`),
    Deno.errors.NotFound,
    at.path,
  );
  await Deno.writeTextFile(at.path, "a file");
  await assertRejects(
    () => echo(at.path),
    Deno.errors.AddrInUse,
    `Cannot listen on ${at.path}`,
  );
  assertEquals(await Deno.readTextFile(at.path), "a file");
  await assertRejects(
    () => startUnixServer(() => {}, at.path, { backlog: 5 }),
    Deno.errors.NotSupported,
    "backlog",
  );
});

Deno.test("startUnixServer() refuses a path that another server listens on", async () => {
  await using at = new SocketPath();
  await using _server = await echo(at.path);
  await assertRejects(() => echo(at.path), Deno.errors.AddrInUse, at.path);
  const [reader, writer] = await openUnixConnection(at.path);
  writer.write("still there\n");
  assertEquals(text(await reader.readline()), "echo still there\n");
  writer.close();
});

Deno.test("startUnixServer() replaces a stale socket file", async () => {
  await using at = new SocketPath();
  const program = `Deno.listen({ transport: "unix", path: ${
    JSON.stringify(at.path)
  } }); Deno.kill(Deno.pid, "SIGKILL")`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  assert(at.exists());
  await using _server = await echo(at.path);
  const [reader, writer] = await openUnixConnection(at.path);
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "echo hello\n");
  writer.close();
});

Deno.test("Server.close() removes the file of its socket [test_server.UnixServerCleanupTests.test_unix_server_addr_cleanup]", async () => {
  for (const startServing of [true, false]) {
    await using at = new SocketPath();
    const server = await startUnixServer(() => {}, at.path, { startServing });
    assert(at.exists());
    server.close();
    await server.waitClosed();
    assertFalse(at.exists());
  }
});

Deno.test("Server.close() does not mind when the file of its socket is gone [test_server.UnixServerCleanupTests.test_unix_server_cleanup_gone]", async () => {
  await using at = new SocketPath();
  const server = await startUnixServer(() => {}, at.path);
  await Deno.remove(at.path);
  server.close();
  await server.waitClosed();
  assertFalse(at.exists());
});

Deno.test("Server.close() keeps a file that replaced its socket file [test_server.UnixServerCleanupTests.test_unix_server_cleanup_replaced]", async () => {
  for (const startServing of [true, false]) {
    await using at = new SocketPath();
    const server = await startUnixServer(() => {}, at.path, { startServing });
    await Deno.remove(at.path);
    await using other = await echo(at.path);
    server.close();
    await server.waitClosed();
    const [reader, writer] = await openUnixConnection(at.path);
    writer.write("still there\n");
    assertEquals(text(await reader.readline()), "echo still there\n");
    writer.close();
    assert(other.isServing());
  }
});

Deno.test("Server.close() keeps the socket file with cleanupSocket: false [test_server.UnixServerCleanupTests.test_unix_server_cleanup_prevented]", async () => {
  for (const startServing of [true, false]) {
    await using at = new SocketPath();
    const server = await startUnixServer(() => {}, at.path, {
      startServing,
      cleanupSocket: false,
    });
    server.close();
    await server.waitClosed();
    assertEquals([...Deno.readDirSync(at.directory)].map((it) => it.name), [
      "socket",
    ]);
  }
});

Deno.test("startUnixServer() and openUnixConnection() need permission for their path alone", async () => {
  await using at = new SocketPath();
  const file = new URL("streams/unix_client_server.ts", import.meta.url);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      `--allow-read=${at.path}`,
      `--allow-write=${at.path}`,
      `--allow-net=unix:${at.path}`,
      file.href,
      at.path,
    ],
  }).output();
  assertEquals(text(stderr), "");
  assertEquals([code, text(stdout)], [0, "echo hello\n"]);
  assertFalse(at.exists());
});

Deno.test("startUnixServer() serves plain Deno clients", async () => {
  await using at = new SocketPath();
  await using _server = await echo(at.path);
  const conn = await Deno.connect({ transport: "unix", path: at.path });
  await writeAll(conn, "one\ntwo\n");
  await conn.closeWrite();
  assertEquals(await readAll(conn), "echo one\necho two\n");
  close(conn);
});
