import { assertEquals, assertRejects, fail } from "@std/assert";
import {
  CancelledError,
  createTask,
  openConnection,
  run,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { connect, Peer, settle } from "./_streams.ts";

/** Runs a body against a peer that never answers a handshake, and checks that the connection is closed afterwards. */
async function silent(
  body: (port: number, begun: Promise<void>) => Promise<void>,
): Promise<void> {
  const begun = Promise.withResolvers<void>();
  let ours: Deno.TcpConn;
  let gone = false;
  await using peer = new Peer(async (conn) => {
    ours = conn;
    const buffer = new Uint8Array(4096);
    try {
      while (await conn.read(buffer) !== null) begun.resolve();
    } catch {
      // It was reset, or is closed below.
    }
    gone = true;
  });
  await body(peer.port, begun.promise);
  for (let i = 0; i < 20 && !gone; i++) await settle();
  if (gone) return;
  ours!.close();
  fail("The connection was left open");
}

Deno.test("openConnection() over TLS that is cancelled in the handshake closes the connection [test_base_events.BaseEventLoopWithSelectorTests.test_create_connection_transport_error_closes_sock]", async () => {
  await run(async () => {
    await silent(async (port, begun) => {
      const opening = createTask(() =>
        openConnection("127.0.0.1", port, { tls: true })
      );
      await begun;
      opening.cancel();
      await assertRejects(() => opening, CancelledError);
    });
  });
});

Deno.test("StreamWriter.startTls() that is cancelled in the handshake closes the connection [test_base_events.BaseEventLoopWithSelectorTests.test_create_connection_sock_transport_error_closes_sock]", async () => {
  await run(async () => {
    await silent(async (port, begun) => {
      const [, writer] = await openConnection("127.0.0.1", port);
      const upgrade = createTask(() => writer.startTls());
      await begun;
      upgrade.cancel();
      await assertRejects(() => upgrade, CancelledError);
    });
  });
});

Deno.test("openConnection() over TLS closes the connection when its signal aborts in the handshake", async () => {
  await run(async () => {
    await silent(async (port, begun) => {
      const controller = new AbortController();
      const opening = openConnection("127.0.0.1", port, {
        tls: true,
        signal: controller.signal,
      });
      const rejected = assertRejects(() => opening, RangeError, "enough");
      await begun;
      controller.abort(new RangeError("enough"));
      await rejected;
    });
  });
});

Deno.test("openConnection() over TLS closes the connection when its time is up in the handshake", async () => {
  await run(async () => {
    await silent(async (port, begun) => {
      await assertRejects(
        () =>
          timeout(null, async (scope) => {
            const opening = openConnection("127.0.0.1", port, { tls: true });
            begun.then(() => scope.reschedule(0));
            assertEquals(await opening, undefined as never);
          }),
        TimeoutError,
      );
    });
  });
});

Deno.test("openConnection() over an existing TLS connection can be cancelled during the handshake", async () => {
  await run(async () => {
    const begun = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    await using peer = new Peer(async (conn) => {
      await conn.read(new Uint8Array(4096));
      begun.resolve();
      await over.promise;
    });
    const conn = await Deno.startTls(await connect(peer.port));
    const opening = createTask(() => openConnection({ conn }));
    await begun.promise;
    opening.cancel();
    await assertRejects(() => opening, CancelledError);
    over.resolve();
    await assertRejects(() => conn.handshake());
    conn.close();
  });
});
