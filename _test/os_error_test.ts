// OSError and ConnectionError by the errors that programs really meet.

import { assert, assertEquals } from "@std/assert";
import {
  ConnectionError,
  createSubprocessExec,
  createSubprocessShell,
  openConnection,
  openUnixConnection,
  OSError,
  PIPE,
  startServer,
  startUnixServer,
  STDOUT,
  type StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";
import { makeCertificate } from "../docs/certificate.ts";
import { portOf, ResettingPeer } from "./_streams.ts";
import { shellTest } from "./_shell.ts";

/** What a call throws or rejects with. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("It did not fail");
}

async function assertKind(
  what: string,
  call: () => unknown,
  isConnectionError: boolean,
): Promise<void> {
  const error = await errorOf(call);
  assert(error instanceof OSError, `${what}: ${error}`);
  assertEquals(error instanceof ConnectionError, isConnectionError, what);
}

function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** The ends of a connection that its other side resets. */
async function withReset(
  body: (reader: StreamReader, writer: StreamWriter) => Promise<void>,
): Promise<void> {
  await using peer = await ResettingPeer.start("");
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  writer.write("reset it");
  try {
    await body(reader, writer);
  } finally {
    writer.close();
    await writer.waitClosed().catch(() => {});
  }
}

Deno.test("OSError and ConnectionError are the kinds of a refused connection", async () => {
  const open = () => openConnection("127.0.0.1", closedPort());
  await assertKind("openConnection()", open, true);
  const tls = () => openConnection("127.0.0.1", closedPort(), { tls: true });
  await assertKind("openConnection() with TLS", tls, true);
});

Deno.test("OSError is the kind of a failed look-up of a name", async () => {
  const open = () => openConnection("nosuchhost.invalid", 1);
  await assertKind("openConnection()", open, false);
  const start = () => startServer(() => {}, "nosuchhost.invalid", 0);
  await assertKind("startServer()", start, false);
});

Deno.test("OSError is the kind of a missing program, directory or socket", async () => {
  const cases: Record<string, () => unknown> = {
    "a program": () => createSubprocessExec("/no/such/program"),
    "a program by name": () => createSubprocessExec("no-such-program"),
    "an empty name": () => createSubprocessExec(""),
    "a program whose errors are merged": () =>
      createSubprocessExec("no-such-program", [], {
        stdout: PIPE,
        stderr: STDOUT,
      }),
    "a file that is no program": () => createSubprocessExec("/etc/passwd"),
    "a directory": () => createSubprocessShell("true", { cwd: "/no/such" }),
    "a socket": () => openUnixConnection("/no/such/socket"),
    "a socket's directory": () => startUnixServer(() => {}, "/no/such/socket"),
  };
  for (const [what, call] of Object.entries(cases)) {
    await assertKind(what, call, false);
  }
});

Deno.test("OSError is the kind of a port that is taken", async () => {
  await using server = await startServer(() => {}, "127.0.0.1", 0);
  const start = () => startServer(() => {}, "127.0.0.1", portOf(server));
  await assertKind("startServer()", start, false);
});

Deno.test("ConnectionError is the kind of a read from a connection that was reset", () =>
  withReset(async (reader) => {
    await assertKind("read()", () => reader.read(), true);
    await assertKind("read() again", () => reader.read(1), true);
  }));

Deno.test("ConnectionError is the kind of a write to a connection that was reset", () =>
  withReset(async (reader, writer) => {
    await errorOf(() => reader.read());
    writer.write("dropped");
    await assertKind("drain()", () => writer.drain(), true);
  }));

shellTest(
  "ConnectionError is the kind of a write to a program that reads no more",
  async () => {
    await using process = await createSubprocessExec("true", [], {
      stdin: PIPE,
    });
    await process.wait();
    const write = async () => {
      for (;;) {
        process.stdin!.write("x".repeat(65_536));
        await process.stdin!.drain();
      }
    };
    await assertKind("drain()", write, true);
  },
);

Deno.test("ConnectionError is the kind of a TLS connection that ends in the handshake", async () => {
  await using server = await startServer(
    async (reader, writer) => {
      await reader.read(1);
      writer.transport.abort();
    },
    "127.0.0.1",
    0,
  );
  const { cert } = await makeCertificate("localhost");
  const open = () =>
    openConnection("127.0.0.1", portOf(server), { tls: { caCerts: [cert] } });
  await assertKind("openConnection()", open, true);
});
