import { assert, assertEquals } from "@std/assert";
import {
  CancelledError,
  createTask,
  Event,
  gather,
  getRunningLoop,
  Lock,
  Queue,
  sleep,
  type Snapshot,
  snapshot,
  TaskGroup,
  timeout,
  wait,
} from "@asyncio/asyncio";
import { locateWaits } from "../_snapshot.ts";
import { lineWith, plain } from "./_places.ts";

const here = (remark: string) => lineWith(remark, import.meta.url);

/** A snapshot of the running loop with the places where its tasks wait. */
function look(): Promise<Snapshot> {
  return locateWaits(snapshot(), getRunningLoop());
}

function stackOf(name: string, { tasks }: Snapshot): string[] {
  return tasks.find((task) => task.name === name)!.stack;
}

/** Checks the remarks on the lines of a stack. */
function assertStack(stack: string[], ...remarks: string[]): void {
  assertEquals(stack.length, remarks.length, stack.join("\n"));
  remarks.forEach((remark, at) =>
    assert(stack[at].includes(here(remark)), `${remark}: ${stack[at]}`)
  );
}

Deno.test("A report finds out without debug mode where tasks wait", async () => {
  await plain(async () => {
    const lock = new Lock();
    using _ = await lock.acquire();
    async function inner() {
      using _ = await lock.acquire(); // acquires
    }
    async function outer() {
      await timeout(9, inner); // limits
    }
    const tasks = [
      createTask(outer, { name: "a" }),
      createTask(async () => {
        await gather([() => sleep(9), () => sleep(8)]); // gathers
      }, { name: "b" }),
      createTask(async () => {
        await Promise.all([new Event().wait(), sleep(7)]); // joins
      }, { name: "c" }),
      createTask(async () => {
        await TaskGroup.run((group) => void group.createTask(() => sleep(6))); // groups
      }, { name: "d" }),
    ];
    await sleep(1);
    const taken = await look();
    assertStack(stackOf("a", taken), "acquires", "limits");
    assertStack(stackOf("b", taken), "gathers");
    assertStack(stackOf("c", taken), "joins");
    assertStack(stackOf("d", taken), "groups");
    const [{ place }] = taken.tasks.find(({ name }) => name === "a")!.waits;
    assertEquals(place, stackOf("a", taken)[0]);
    for (const task of tasks) task.cancel();
    await wait(tasks);
  });
});

Deno.test("A report finds out without debug mode which foreign promises tasks sit in", async () => {
  await plain(async () => {
    const promises = [1, 2].map(() => Promise.withResolvers<void>());
    async function inner(n: number) {
      await promises[n].promise; // foreign
    }
    async function outer(n: number) {
      await inner(n); // calls
    }
    const slow = createTask(() => outer(0), { name: "slow" });
    const late = createTask(() => timeout(1, () => outer(1)), { name: "late" });
    await sleep(2);
    const taken = await locateWaits(
      snapshot(),
      getRunningLoop(),
      promises.map(({ promise }) => promise),
    );
    assertStack(stackOf("slow", taken), "foreign", "calls");
    assertStack(stackOf("late", taken), "foreign", "calls");
    const { seconds, state } = taken.tasks.find(({ name }) => name === "slow")!;
    assertEquals([state, seconds], ["foreign", 2]);
    for (const { resolve } of promises) resolve();
    await wait([slow, late]);
    assertEquals(slow.result(), undefined);
  });
});

Deno.test("A wait whose place was asked for ends as any other", async () => {
  await plain(async () => {
    const queue = new Queue<number>();
    const log: string[] = [];
    const getter = createTask(async () => {
      log.push(`got ${await queue.get()}`);
      return "got";
    }, { name: "getter" });
    const failing = getRunningLoop().createFuture<void>();
    const failed = createTask(async () => {
      await failing;
    }, { name: "failed" });
    const cancelled = createTask(async () => {
      try {
        await queue.get();
      } catch (error) {
        log.push((error as Error).message);
        throw error;
      }
    }, { name: "cancelled" });
    await sleep(0);
    await look();
    await look();
    queue.putNowait(1);
    failing.setException(new RangeError("too far"));
    cancelled.cancel("enough");
    await wait([getter, failed, cancelled]);
    assertEquals(log, ["got 1", "enough"]);
    assertEquals(getter.result(), "got");
    assertEquals((failed.exception() as Error).message, "too far");
    assert(cancelled.cancelled());
  });
});

Deno.test("A wait that ends while its place is asked for ends as any other", async () => {
  await plain(async () => {
    const events = [new Event(), new Event()];
    const set = createTask(() => waits(events[0]), { name: "set" });
    const cancelled = createTask(() => waits(events[1]), { name: "cancelled" });
    async function waits(event: Event) {
      try {
        return await event.wait(); // waits
      } catch (error) {
        assert(error instanceof CancelledError);
        throw error;
      }
    }
    await sleep(0);
    const looking = look();
    events[0].set();
    cancelled.cancel();
    assertStack(stackOf("set", await looking), "waits");
    await wait([set, cancelled]);
    assertEquals(set.result(), true);
    assert(cancelled.cancelled());
  });
});
