import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  Barrier,
  BoundedSemaphore,
  captureCallGraph,
  Condition,
  createTask,
  Event,
  Lock,
  Queue,
  Semaphore,
  sleep,
} from "@asyncio/asyncio";
import { virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

interface Case {
  /** The thing, taken if it can be. */
  make(name: string | undefined): object;
  wait(it: object): Promise<unknown>;
  /** How it shows while one task waits, with a place for the name. */
  shown: string;
}

function taken<T extends Lock | Semaphore>(it: T): T {
  it.acquire();
  return it;
}

const cases: Record<string, Case> = {
  Lock: {
    make: (name) => taken(new Lock({ name: name! })),
    wait: (it) => (it as Lock).acquire(),
    shown: "<Lock@ locked, 1 waiting>",
  },
  Semaphore: {
    make: (name) => taken(new Semaphore(1, { name: name! })),
    wait: (it) => (it as Semaphore).acquire(),
    shown: "<Semaphore@ locked, 1 waiting>",
  },
  BoundedSemaphore: {
    make: (name) => taken(new BoundedSemaphore(1, { name: name! })),
    wait: (it) => (it as Semaphore).acquire(),
    shown: "<BoundedSemaphore@ locked, 1 waiting>",
  },
  Event: {
    make: (name) => new Event({ name: name! }),
    wait: (it) => (it as Event).wait(),
    shown: "<Event@ unset, 1 waiting>",
  },
  Condition: {
    make: (name) => new Condition(undefined, { name: name! }),
    wait: async (it) => {
      using _ = await (it as Condition).acquire();
      await (it as Condition).wait();
    },
    shown: "<Condition@ unlocked, 1 waiting>",
  },
  Barrier: {
    make: (name) => new Barrier(2, { name: name! }),
    wait: (it) => (it as Barrier).wait(),
    shown: "<Barrier@ filling, 1 of 2 waiting>",
  },
};

for (const [kind, { make, wait, shown }] of Object.entries(cases)) {
  Deno.test(`${kind} shows its name to consoles and in what a task waits for`, () =>
    virtual(async () => {
      for (const name of ["db", 'a "b"', undefined]) {
        const it = make(name);
        const task = createTask(() => wait(it), { name: "waiter" });
        await sleep(0);
        const label = name === undefined ? "" : ` ${JSON.stringify(name)}`;
        const text = shown.replace("@", label);
        assertEquals(inspect(it), text);
        assertStringIncludes(inspect(task), `waiting for ${text}`);
        const [waited] = captureCallGraph(task)!.waitsFor;
        assertStringIncludes(waited.what, text);
        task.cancel();
        await task.catch(() => {});
      }
    }));
}

Deno.test("Barrier keeps its name when it is broken, and names are made strings", async () => {
  const barrier = new Barrier(2, { name: 42 as unknown as string });
  await barrier.abort();
  assertEquals(inspect(barrier), '<Barrier "42" broken>');
});

Deno.test("Queue and Semaphore show the class that they are of, also one whose name cannot be read", () => {
  class Jobs extends Queue<number> {}
  class Hostile extends Semaphore {
    static override get name(): string {
      throw new RangeError("user code failed");
    }
  }
  const odd = Object.assign(new Queue<number>(), { constructor: null });
  assertEquals(inspect(new Jobs()), "<Jobs 0 items>");
  assertEquals(inspect(new Hostile()), "<Semaphore with 1 free>");
  assertEquals(inspect(odd), "<Queue 0 items>");
});
