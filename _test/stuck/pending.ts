/**
 * Programs in which every task waits, and something is under way that may wake
 * one. Each ends with SIGTERM.
 */
import { type Coroutine, Event, Queue, run, toThread } from "@asyncio/asyncio";

const [name, form] = Deno.args;
const done = new Event();
const never = new Promise<never>(() => {});
const localhost = { hostname: "127.0.0.1" };

function listen(): Deno.TcpListener {
  return Deno.listen({ ...localhost, port: 0 });
}

function addressOf({ addr }: { addr: Deno.Addr }): string {
  return `127.0.0.1:${(addr as Deno.NetAddr).port}`;
}

function serve(): string {
  const handler = (request: Request) =>
    request.headers.has("upgrade")
      ? Deno.upgradeWebSocket(request).response
      : never;
  return addressOf(
    Deno.serve({ ...localhost, port: 0, onListen() {} }, handler),
  );
}

function workerOf(source: string): Worker {
  const url = `data:text/javascript,${encodeURIComponent(source)}`;
  return new Worker(url, { type: "module" });
}

const cases: Record<string, () => unknown> = {
  "a timer of the host": () => {
    setTimeout(() => {}, 1e6);
  },
  "an interval": () => {
    setInterval(() => {}, 1e6);
  },
  "a signal with a deadline": () =>
    void done.wait({ signal: AbortSignal.timeout(1e6) }).catch(() => {}),
  "a listener of a signal with a deadline": () => {
    AbortSignal.timeout(1e6).onabort = () => done.set();
  },
  "a listener": () => void listen().accept(),
  "a socket": async () => {
    const listener = listen();
    const { port } = listener.addr as Deno.NetAddr;
    await Deno.connect({ ...localhost, port });
    const conn = await listener.accept();
    void conn.read(new Uint8Array(1));
  },
  "a server": () => void serve(),
  "a fetch": () => void fetch(`http://${serve()}`),
  "a WebSocket": () => {
    new WebSocket(`ws://${serve()}`);
  },
  "a child process": () =>
    void new Deno.Command("sleep", { args: ["10"], stderr: "null" }).spawn()
      .status,
  "a worker": () => {
    workerOf("setTimeout(() => {}, 1e6)").onmessage = () => {};
  },
  "a worker that waits for messages": () => {
    workerOf("onmessage = () => {}").onmessage = () => {};
  },
  "a thread": () =>
    void toThread(() =>
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    ),
  "the input": () => void Deno.stdin.read(new Uint8Array(1)),
  "a watched file": () => {
    const watcher = Deno.watchFs(import.meta.dirname!);
    void watcher[Symbol.asyncIterator]().next();
  },
  "a message port": () => {
    new MessageChannel().port1.onmessage = () => {};
  },
};

Deno.addSignalListener("SIGTERM", () => Deno.exit(42));
const main: Coroutine<unknown> = async () => {
  await cases[name]();
  console.log("ready");
  await new Queue().get();
};
if (form === "awaited") await run(main);
else if (form === "without run") await main(new AbortController().signal);
else run(main);
