import { assertEquals } from "@std/assert";
import { main as barrier } from "../examples/barrier.ts";
import { main as event } from "../examples/event.ts";
import { main as workQueue } from "../examples/work_queue.ts";
import { virtual } from "./_virtual.ts";

/** The lines that an example prints. */
async function printed(
  main: (print: (line: string) => void) => Promise<void>,
): Promise<string[]> {
  const lines: string[] = [];
  await virtual(() => main((line) => lines.push(line)));
  return lines;
}

Deno.test("the barrier example prints the states that the documentation shows", async () => {
  assertEquals(await printed(barrier), [
    "<Barrier filling, 2 of 3 waiting>",
    "<Barrier draining, 0 of 3 waiting>",
    "barrier passed",
    "<Barrier filling, 0 of 3 waiting>",
  ]);
});

Deno.test("the event example prints before and after the event", async () => {
  assertEquals(await printed(event), ["waiting for it ...", "... got it!"]);
});

Deno.test("the work queue example shares the work out as CPython does", async () => {
  let n = 0;
  const random = () => (n++ * 7 % 20) / 20;
  const lines = await printed((print) => workQueue(print, random));
  // What CPython 3.13 prints for jobs of the same lengths.
  assertEquals(lines, [
    "worker-0 has slept for 0.05 seconds",
    "worker-0 has slept for 0.10 seconds",
    "worker-1 has slept for 0.38 seconds",
    "worker-0 has slept for 0.43 seconds",
    "worker-2 has slept for 0.71 seconds",
    "worker-0 has slept for 0.15 seconds",
    "worker-1 has slept for 0.76 seconds",
    "worker-2 has slept for 0.48 seconds",
    "worker-1 has slept for 0.19 seconds",
    "worker-0 has slept for 0.81 seconds",
    "worker-2 has slept for 0.53 seconds",
    "worker-0 has slept for 0.24 seconds",
    "worker-1 has slept for 0.86 seconds",
    "worker-2 has slept for 0.57 seconds",
    "worker-1 has slept for 0.29 seconds",
    "worker-0 has slept for 0.91 seconds",
    "worker-2 has slept for 0.62 seconds",
    "worker-0 has slept for 0.33 seconds",
    "worker-1 has slept for 0.95 seconds",
    "worker-2 has slept for 0.67 seconds",
    "====",
    "3 workers slept in parallel for 3.58 seconds",
    "total expected sleep time: 10.03 seconds",
  ]);
});

Deno.test("an example runs as a program, without a permission", async () => {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "examples/barrier.ts"],
    cwd: new URL("..", import.meta.url),
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assertEquals([success, lines], [true, await printed(barrier)]);
});
