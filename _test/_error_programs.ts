/** Programs that fail in common ways, and what they must print. */

/** A program, and what it prints when it fails. */
interface Failing {
  /** The source, without the import of all names. */
  source: string;
  /** Parts of the output, in order, each once. */
  texts: string[];
  /** The functions on the stack, innermost first; `""` for an anonymous one. */
  frames: string[];
  /** The exit status. */
  code?: number;
}

export const FAILING: Record<string, Failing> = {
  "an error in a function that others await": {
    source: `
      async function readRow(n) {
        await sleep(0.001);
        if (n === 2) throw new Error("row " + n + " is broken");
      }
      async function readTable() {
        for (let n = 0; n < 5; n++) await readRow(n);
      }
      async function importFile() { await readTable(); }
      async function main() { await importFile(); }
      await run(main);`,
    texts: ["Error: row 2 is broken"],
    frames: ["readRow", "readTable", "importFile", "main"],
  },
  "an error below timeouts": {
    source: `
      async function readRow() { await sleep(0.001); throw new Error("broken"); }
      async function readTable() { await waitFor(() => readRow(), 5); }
      async function main() {
        await timeout(5, async () => {
          await timeout(5, async () => {
            await readTable();
          });
        });
      }
      await run(main);`,
    texts: ["Error: broken"],
    frames: ["readRow", "readTable", "", "", "main"],
  },
  "an error of a task that another one awaits": {
    source: `
      async function readRow() { await sleep(0.001); throw new Error("broken"); }
      async function importFile() { await createTask(() => readRow()); }
      async function main() { await createTask(() => importFile()); }
      await run(main);`,
    texts: ["Error: broken"],
    frames: ["readRow", "importFile", "main"],
  },
  "an error of a task at top level": {
    source: `
      async function readRow() { await sleep(0.001); throw new Error("broken"); }
      async function importFile() { await createTask(() => readRow()); }
      await importFile();`,
    texts: ["Error: broken"],
    frames: ["readRow", "importFile", ""],
  },
  "timeout()": {
    source: `
      async function query() { await sleep(10); }
      async function handle() {
        await timeout(0.02, async () => { await query(); });
      }
      async function main() { await handle(); }
      await run(main);`,
    texts: [
      "TimeoutError: Timed out while waiting for a timer due in ",
      "CancelledError",
    ],
    frames: ["query", "", "handle", "main"],
  },
  "timeoutAt()": {
    source: `
      async function take(queue) { return await queue.get(); }
      async function main() {
        const when = getRunningLoop().time() + 0.02;
        await timeoutAt(when, () => take(new Queue()));
      }
      await run(main);`,
    texts: [
      "TimeoutError: Timed out while waiting for an item of <Queue ",
      "CancelledError",
    ],
    frames: ["take", "main"],
  },
  "waitFor()": {
    source: `
      async function next(queue) { return await waitFor(queue.get(), 0.02); }
      async function worker(queue) { for (;;) await next(queue); }
      async function main() { await worker(new Queue()); }
      await run(main);`,
    texts: ["TimeoutError: Timed out", "CancelledError"],
    frames: ["next", "worker", "main"],
  },
  "waitFor() at top level": {
    source: `
      async function next(queue) { return await waitFor(queue.get(), 0.02); }
      await next(new Queue());`,
    texts: ["TimeoutError: Timed out", "CancelledError"],
    frames: ["next", ""],
  },
  "a refused connection": {
    source: `
      async function connect() { return await openConnection("127.0.0.1", 9); }
      async function greet() { const [reader] = await connect(); }
      async function main() { await greet(); }
      await run(main);`,
    texts: ["Cannot connect to 127.0.0.1:9: Connection refused"],
    frames: ["connect", "greet", "main"],
  },
  "drain() when the other side is gone": {
    source: `
      async function send(writer) {
        for (;;) { writer.write("x".repeat(100_000)); await writer.drain(); }
      }
      async function main() {
        const server = await startServer(async (reader, writer) => {
          await reader.read(10);
          writer.transport.abort();
        }, "127.0.0.1", 0);
        const [, writer] = await openConnection("127.0.0.1", server.port);
        await send(writer);
      }
      await run(main);`,
    texts: ["(os error "],
    frames: ["send", "main"],
  },
  "a reset while a read waits": {
    source: `
      import net from "node:net";
      const peer = net.createServer((socket) => {
        socket.on("data", () => socket.resetAndDestroy());
      });
      await new Promise((resolve) => peer.listen(0, "127.0.0.1", resolve));
      async function reply(reader) { return await reader.readline(); }
      async function main() {
        const { port } = peer.address();
        const [reader, writer] = await openConnection("127.0.0.1", port);
        writer.write("now");
        await reply(reader);
      }
      await run(main);`,
    texts: ["ConnectionReset"],
    frames: ["reply", "main"],
  },
  "readexactly() at an early end": {
    source: `
      async function header(reader) { return await reader.readexactly(16); }
      async function main() {
        const server = await startServer((_, writer) => {
          writer.write("short");
          writer.close();
        }, "127.0.0.1", 0);
        const [reader] = await openConnection("127.0.0.1", server.port);
        await header(reader);
      }
      await run(main);`,
    texts: ["IncompleteReadError: 5 bytes read on a total of 16"],
    frames: ["header", "main"],
  },
  "readuntil() beyond the limit": {
    source: `
      async function record(reader) { return await reader.readuntil(";"); }
      async function main() {
        const server = await startServer(async (reader, writer) => {
          writer.write("x".repeat(5000));
          await reader.read();
        }, "127.0.0.1", 0);
        const [reader] = await openConnection("127.0.0.1", server.port, { limit: 99 });
        await record(reader);
      }
      await run(main);`,
    texts: ["LimitOverrunError: Separator is not found"],
    frames: ["record", "main"],
  },
  "toThread()": {
    source: `
      function parse(text) { return JSON.parse(text); }
      async function load() { return await toThread(parse, "{ broken"); }
      async function main() { await load(); }
      await run(main);`,
    texts: ["SyntaxError: Expected property name"],
    frames: ["parse", "load", "main"],
  },
  "a queue that is shut down while get() waits": {
    source: `
      async function take(queue) { return await queue.get(); }
      async function main() {
        const queue = new Queue();
        getRunningLoop().callLater(0.01, () => queue.shutdown());
        await take(queue);
      }
      await run(main);`,
    texts: ["QueueShutDown: Cannot get an item: the queue is shut down"],
    frames: ["take", "main"],
  },
  "getNowait() of an empty queue": {
    source: `
      async function poll(queue) { await sleep(0); return queue.getNowait(); }
      async function main() { await poll(new Queue()); }
      await run(main);`,
    texts: ["QueueEmpty: Cannot get an item: the queue is empty"],
    frames: ["poll", "main"],
  },
  "gather() of a cancelled task": {
    source: `
      async function download() { await sleep(10); }
      async function main() {
        const tasks = [1, 2, 3].map(() => createTask(() => download()));
        await sleep(0.01);
        tasks[1].cancel();
        await gather(tasks);
      }
      await run(main);`,
    texts: ["CancelledError"],
    frames: ["download", "main"],
  },
  "a barrier that breaks": {
    source: `
      async function meet(barrier) { await barrier.wait(); }
      async function main() {
        const barrier = new Barrier(2);
        getRunningLoop().callLater(0.01, () => barrier.abort());
        await meet(barrier);
      }
      await run(main);`,
    texts: ["BrokenBarrierError: The barrier was aborted or reset"],
    frames: ["meet", "main"],
  },
  "a group": {
    source: `
      async function readRow(n) { await sleep(0.001); throw new Error("row " + n); }
      async function load(n) { await readRow(n); }
      async function main() {
        await TaskGroup.run(async (group) => {
          group.createTask(() => load(1), { name: "first" });
          group.createTask(async function second() { await load(2); });
        });
      }
      await run(main);`,
    texts: [
      "ExceptionGroup: unhandled errors in a TaskGroup",
      "Error: row 1",
      "in task first (()=>load(1))",
      "Error: row 2",
      "in task Task-2 (second)",
    ],
    frames: ["readRow", "load", "readRow", "load", "second", "main"],
  },
  "a future that is done already": {
    source: `
      async function answer(future) {
        await sleep(0);
        future.setResult(1);
        future.setResult(2);
      }
      async function main() { await answer(new Future()); }
      await run(main);`,
    texts: ["InvalidStateError: Cannot set a result"],
    frames: ["answer", "main"],
  },
  "Ctrl-C": {
    source: `
      async function serve(queue) { await queue.get(); }
      async function main() {
        getRunningLoop().callLater(0.01, () => Deno.kill(Deno.pid, "SIGINT"));
        await serve(new Queue());
      }
      await run(main);`,
    texts: [
      "KeyboardInterrupt: Interrupted by SIGINT while waiting for an item of " +
      "<Queue 0 items, 1 waiting to get> at serve (",
    ],
    frames: [],
  },
  "a program that is not there": {
    source: `
      async function convert() { await createSubprocessExec("no-such-program"); }
      async function main() { await convert(); }
      await run(main);`,
    texts: ["NotFound: Failed to spawn 'no-such-program'"],
    frames: ["convert", "main"],
  },
  "a port that is in use": {
    source: `
      async function serve(port) {
        return await startServer(() => {}, "127.0.0.1", port);
      }
      async function main() {
        const { port } = await serve(0);
        await serve(port);
      }
      await run(main);`,
    texts: ["AddrInUse: Cannot listen on 127.0.0.1:"],
    frames: ["serve", "main"],
  },
  "a failed task that nobody looked at": {
    source: `
      async function refresh() { await sleep(0.001); throw new Error("gone"); }
      async function main() { await wait([createTask(() => refresh())]); }
      await run(main);`,
    texts: ["Task exception was never retrieved: Task-2", "Error: gone"],
    frames: ["refresh"],
    code: 0,
  },
  "the callback of a server": {
    source: `
      async function parse(reader) {
        const line = await reader.readline();
        throw new Error("bad line");
      }
      async function handle(reader) { await parse(reader); }
      async function main() {
        const server = await startServer(handle, "127.0.0.1", 0);
        const [reader, writer] = await openConnection("127.0.0.1", server.port);
        writer.write("hello\\n");
        await reader.read();
      }
      await run(main);`,
    texts: [
      "Unhandled error in the callback of a connection",
      "Error: bad line",
    ],
    frames: ["parse", "handle"],
    code: 0,
  },
  "a callback": {
    source: `
      function tick() { throw new Error("no tick"); }
      async function main() {
        getRunningLoop().callLater(0.001, tick);
        await sleep(0.02);
      }
      await run(main);`,
    texts: ["Error in callback tick", "Error: no tick"],
    frames: ["tick"],
    code: 0,
  },
};
