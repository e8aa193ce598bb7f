// A recipe: the work for a request ends when its client has gone.

import { assert, assertEquals } from "@std/assert";
import {
  CancelledError,
  createTask,
  Event,
  sleep,
  type Task,
  TaskGroup,
  timeout,
} from "@asyncio/asyncio";

/** Runs a server whose handler answers with what a task gives, as the recipe has it. */
async function serving(
  work: (signal: AbortSignal) => Promise<Response>,
  client: (port: number, tasks: Task<Response>[]) => Promise<void>,
): Promise<void> {
  const tasks: Task<Response>[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const task = createTask(work, { signal: request.signal });
      tasks.push(task);
      return await task.catch(() => new Response("cancelled"));
    },
  );
  try {
    await client(server.addr.port, tasks);
  } finally {
    await server.shutdown();
  }
}

/** Waits until a task has ended, however it does. */
async function ended(task: Task<unknown>): Promise<void> {
  await Promise.allSettled([task]);
}

/** A client that asks and hangs up once the handler has begun. */
async function hangUp(port: number, begun: Event): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(
    new TextEncoder().encode("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
  );
  await begun.wait();
  conn.close();
}

Deno.test("createTask() with a request's signal cancels the work of a handler whose client has disconnected", async () => {
  const begun = new Event();
  let cleaned = false;
  let aborted = false;
  const work = async (signal: AbortSignal) => {
    signal.addEventListener("abort", () => aborted = true);
    begun.set();
    try {
      await timeout(60, () => TaskGroup.run(() => sleep(60)));
    } finally {
      await sleep(0);
      cleaned = true;
    }
    return new Response("done");
  };
  await serving(work, async (port, tasks) => {
    await hangUp(port, begun);
    await ended(tasks[0]!);
    assert(tasks[0]!.cancelled() && cleaned && aborted);
    const error = await tasks[0]!.catch((error) => error);
    assert(error instanceof CancelledError);
    assertEquals(tasks.length, 1);
  });
});

Deno.test("createTask() with a request's signal ends a request of its own that the handler has made", async () => {
  const begun = new Event();
  const inner = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async ({ signal }) => {
      begun.set();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return new Response();
    },
  );
  const url = `http://127.0.0.1:${inner.addr.port}/`;
  await serving((signal) => fetch(url, { signal }), async (port, tasks) => {
    await hangUp(port, begun);
    await ended(tasks[0]!);
    assert(tasks[0]!.cancelled());
  });
  await inner.shutdown();
});

Deno.test("createTask() with a request's signal lets the work of a client that stays come to its end", async () => {
  const work = () => Promise.resolve(new Response("done"));
  await serving(work, async (port, tasks) => {
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assertEquals(await response.text(), "done");
    await ended(tasks[0]!);
    assert(!tasks[0]!.cancelled());
    assertEquals(tasks[0]!.cancelling(), 0);
  });
});
