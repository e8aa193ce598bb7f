// The examples as a reader runs them: each is a process of its own, with the
// permissions that its file names, and prints what its file says.

import { assert, assertEquals } from "@std/assert";
import { gather, Semaphore } from "@asyncio/asyncio";
import { makeCertificate } from "../docs/certificate.ts";
import {
  allExamples,
  assertPrinted,
  example,
  printed,
  start,
} from "./_examples.ts";
import { main as workQueue } from "../examples/queues/work_queue.ts";
import { readUntil, textReader } from "./_programs.ts";
import { virtual } from "./_virtual.ts";

const examples = await allExamples();

/** Runs one example; gives what changes in its output from run to run. */
async function ran(path: string): Promise<string[]> {
  const it = await example(path);
  return assertPrinted(it, await printed(start(it)));
}

/** The headers that the example prints for a URL. */
async function headersOf(url: string, flags?: string[]): Promise<string[]> {
  const it = await example("streams/http_headers.ts");
  const output = await printed(start(it, [url], flags));
  return output.trimEnd().split("\n");
}

/** A web server on a free port of this machine, which tells what it was asked for. */
function webServer(tls: { cert: string; key: string } | null) {
  return Deno.serve(
    { ...tls, hostname: "127.0.0.1", port: 0, onListen() {} },
    ({ method, url }) =>
      new Response("body", { headers: { "x-asked": `${method} ${url}` } }),
  );
}

for (const topic of new Set(examples.map(({ path }) => path.split("/")[0]))) {
  Deno.test(`Every example of ${topic}/ prints what its file says`, async () => {
    const places = new Semaphore(4);
    await gather(
      examples.filter(({ path }) => path.startsWith(`${topic}/`)).map(
        (it) => async () => {
          using _ = await places.acquire();
          assertPrinted(it, await printed(start(it)));
        },
      ),
    );
  });
}

Deno.test("The index of the examples lists each of them once, and nothing else", async () => {
  const readme = await Deno.readTextFile(
    new URL("../examples/README.md", import.meta.url),
  );
  const rows = readme.matchAll(
    /^\| \[(.+?)\]\((\w+\/(.+?))\) +\| (\[.+?\]\(https:\/\/docs\.python\.org\/3\/library\/asyncio\S*\)(, )?)+ +\| .+\. +\|$/gm,
  );
  const listed = [...rows].map(([, name, path, file]) => {
    assertEquals(name, file);
    return path;
  });
  assertEquals(listed.sort(), examples.map(({ path }) => path).sort());
});

Deno.test("The examples that measure time have waited as long as they should", async () => {
  const shortest = {
    "tasks/one_after_another.ts": 0.3,
    "tasks/create_task.ts": 0.2,
    "tasks/create_task_in_group.ts": 0.2,
    "threads/to_thread.ts": 0.3,
  };
  for (const [path, least] of Object.entries(shortest)) {
    const [seconds] = await ran(path);
    assert(Number(seconds) >= least, `${path}: ${seconds}`);
  }
});

Deno.test("The example sleep.ts prints dates of now, each later by its pause", async () => {
  const before = Date.now();
  const dates = (await ran("tasks/sleep.ts")).map((it) => Date.parse(it));
  const after = Date.now();
  assert(before <= dates[0] && dates.at(-1)! <= after);
  for (let n = 1; n < dates.length; n++) {
    // The clock of dates and that of the loop may round differently.
    assert(dates[n] - dates[n - 1] >= 98, dates.join());
  }
});

Deno.test("The example exec_date.ts prints the date of now", async () => {
  const before = Date.now();
  const [date] = await ran("subprocess/exec_date.ts");
  assert(before <= Date.parse(date) && Date.parse(date) <= Date.now());
});

Deno.test("The example work_queue.ts shares its jobs out among three workers", async () => {
  const values = await ran("queues/work_queue.ts");
  const seconds = values.filter((it) => !it.startsWith("worker")).map(Number);
  const total = seconds.pop()!;
  const elapsed = seconds.pop()!;
  const sum = seconds.reduce((sum, it) => sum + it);
  assertEquals(seconds.length, 10);
  assert(Math.abs(total - sum) < 0.01, `${sum} of ${total}`);
  assert(elapsed >= total / 3 - 0.001, `${elapsed} of ${total}`);
});

Deno.test("The example work_queue.ts shares the same jobs out as CPython does", async () => {
  const { random } = Math;
  const { log } = console;
  const lines: string[] = [];
  let n = 0;
  try {
    Math.random = () => (n++ * 7 % 10) / 10;
    console.log = (line: string) => lines.push(line);
    await virtual(workQueue);
  } finally {
    Math.random = random;
    console.log = log;
  }
  // What CPython 3.13 prints for jobs of the same lengths.
  assertEquals(lines, [
    "worker-0 has slept for 0.010 seconds",
    "worker-0 has slept for 0.019 seconds",
    "worker-2 has slept for 0.046 seconds",
    "worker-1 has slept for 0.073 seconds",
    "worker-1 has slept for 0.028 seconds",
    "worker-2 has slept for 0.055 seconds",
    "worker-0 has slept for 0.082 seconds",
    "worker-0 has slept for 0.037 seconds",
    "worker-2 has slept for 0.064 seconds",
    "worker-1 has slept for 0.091 seconds",
    "====",
    "3 workers slept in parallel for 0.192 seconds",
    "one worker would have slept for 0.505 seconds",
  ]);
});

Deno.test("The example tcp_echo_server.ts serves the example tcp_echo_client.ts until Ctrl-C", async () => {
  const server = start(await example("streams/tcp_echo_server.ts"), ["0"]);
  const stderr = new Response(server.stderr).text();
  const output = textReader(server.stdout);
  const address = await readUntil(output, "\n");
  const [, port] = /^Server: serving on 127\.0\.0\.1:(\d+)\n$/.exec(address)!;

  const client = await example("streams/tcp_echo_client.ts");
  for (let n = 0; n < 2; n++) {
    assertEquals(
      await printed(start(client, [port])),
      `Client: send "Hello World!"
Client: received "Hello World!"
Client: close the connection
`,
    );
    assertEquals(
      await readUntil(output, "close the connection\n"),
      `Server: received "Hello World!" from 127.0.0.1
Server: send "Hello World!"
Server: close the connection
`,
    );
  }

  server.kill("SIGINT");
  assertEquals(await output.read(), { done: true, value: undefined });
  assertEquals((await server.status).code, 1);
  assert((await stderr).includes("KeyboardInterrupt"));
});

Deno.test("The example http_headers.ts prints the headers of a web server", async () => {
  await using server = webServer(null);
  const url = `http://127.0.0.1:${server.addr.port}/page?a=1`;
  const lines = await headersOf(url);
  assertEquals(lines.slice(0, 2), [
    "HTTP header> HTTP/1.0 200 OK",
    `HTTP header> x-asked: HEAD ${url}`,
  ]);
});

Deno.test("The example http_headers.ts prints the headers of a web server with TLS", async () => {
  const certificate = await makeCertificate();
  const file = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    await Deno.writeTextFile(file, certificate.cert);
    await using server = webServer(certificate);
    const url = `https://localhost:${server.addr.port}/page?a=1`;
    const lines = await headersOf(url, [`--cert=${file}`]);
    assertEquals(lines.slice(0, 2), [
      "HTTP header> HTTP/1.0 200 OK",
      `HTTP header> x-asked: HEAD ${url}`,
    ]);
  } finally {
    await Deno.remove(file);
  }
});
