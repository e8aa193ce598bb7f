// Random programs with random cancellations, on virtual time: whatever
// happens, every item, permit and notification is accounted for, nobody stays
// behind, and waiters are served in order.

import { assert, assertEquals } from "@std/assert";
import {
  Barrier,
  BrokenBarrierError,
  CancelledError,
  Condition,
  createTask,
  Event,
  gather,
  getRunningLoop,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  QueueShutDown,
  Semaphore,
  sleep,
  type Task,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

const ROUNDS = 150;

/** A seeded random number generator. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 0x9e3779b9 >>> 0;
  }

  /** A whole number below a limit. */
  below(limit: number): number {
    this.#state = this.#state + 0x6d2b79f5 >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ mixed >>> 15, mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) % limit;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** Runs a test with many seeds; the error names the one that fails. */
async function withSeeds(test: (dice: Dice) => Promise<void>): Promise<void> {
  for (let seed = 1; seed <= ROUNDS; seed++) {
    try {
      await virtual(() => test(new Dice(seed)));
    } catch (error) {
      throw new Error(`Failed with seed ${seed}`, { cause: error });
    }
  }
}

const interrupted = Symbol("interrupted");

/** Makes a call that may be interrupted in one of three ways, at a random time. */
async function attempt<T>(
  dice: Dice,
  call: (options?: { signal: AbortSignal }) => Promise<T>,
): Promise<T | typeof interrupted> {
  try {
    if (dice.chance(25)) return await timeout(dice.below(4), () => call());
    if (dice.chance(35)) {
      const aborter = new AbortController();
      getRunningLoop().callLater(dice.below(4), () => aborter.abort());
      return await call({ signal: aborter.signal });
    }
    return await call();
  } catch (error) {
    if (isInterruption(error)) return interrupted;
    throw error;
  }
}

function isInterruption(error: unknown): boolean {
  return error instanceof CancelledError || error instanceof TimeoutError ||
    (error instanceof DOMException && error.name === "AbortError");
}

/** A pause of zero or little time, so that many end together. */
function pause(dice: Dice): Promise<void> {
  return sleep(dice.pick([0, 0, 0, 1, 2]));
}

/** Cancels random tasks, often in the step that wakes others. */
async function harass(dice: Dice, tasks: Task<unknown>[]): Promise<void> {
  for (let n = dice.below(tasks.length * 3); n > 0; n--) {
    await pause(dice);
    dice.pick(tasks).cancel();
  }
}

/**
 * Starts tasks that each do something several times, cancels some of them, and
 * then supplies what they wait for until all have finished.
 */
async function crowd(
  dice: Dice,
  count: number,
  act: (name: string) => Promise<void>,
  help: (blocked: number) => void,
): Promise<void> {
  const tasks = Array.from({ length: count }, (_, n) =>
    createTask(async () => {
      for (let i = 0; i < 5; i++) {
        try {
          await pause(dice);
          await act(`${n}.${i}`);
        } catch (error) {
          if (!isInterruption(error)) throw error;
        }
      }
    }));
  await harass(dice, tasks);
  for (;;) {
    await sleep(100);
    const blocked = tasks.filter((it) => !it.done()).length;
    if (blocked === 0) return void await gather(tasks);
    help(blocked);
  }
}

/** The waiters in FIFO order: none is served after a later one. */
class Line {
  waiting = 0;
  #came = 0;
  #served = 0;

  async through<T>(
    call: () => Promise<T | typeof interrupted>,
  ): Promise<T | typeof interrupted> {
    const number = ++this.#came;
    this.waiting++;
    try {
      const result = await call();
      if (result === interrupted) return interrupted;
      assert(number > this.#served, `${number} after ${this.#served}`);
      this.#served = number;
      return result;
    } finally {
      this.waiting--;
    }
  }
}

const ascending = (a: number, b: number) => a - b;

/** The items that were put and those that were returned. */
class Ledger {
  readonly put: number[] = [];
  readonly got: number[] = [];
  #made = 0;

  readonly dice: Dice;
  readonly queue: Queue<number>;

  constructor(dice: Dice, queue: Queue<number>) {
    this.dice = dice;
    this.queue = queue;
  }

  /** Puts or gets an item, in one of many ways. */
  async act(): Promise<void> {
    const { dice, queue, got, put } = this;
    if (dice.chance(50)) {
      const item = this.#made++;
      const done = await attempt(dice, (it) => queue.put(item, it));
      if (done !== interrupted) put.push(item);
    } else if (dice.chance(20) && !queue.empty()) {
      got.push(queue.getNowait());
    } else if (dice.chance(10)) {
      for await (const item of queue) {
        got.push(item);
        if (dice.chance(50)) break;
      }
    } else {
      const item = await attempt(dice, (it) => queue.get(it));
      if (item !== interrupted) got.push(item);
    }
  }

  /** Supplies what blocked tasks wait for. */
  help(): void {
    if (!this.queue.empty()) return void this.got.push(this.queue.getNowait());
    this.put.push(this.#made);
    this.queue.putNowait(this.#made++);
  }

  drain(): void {
    while (!this.queue.empty()) this.got.push(this.queue.getNowait());
  }

  assertBalanced(dropped = 0): void {
    const { put, got } = this;
    assertEquals(got.length + dropped, put.length);
    assertEquals(new Set(got).size, got.length);
    if (dropped > 0) assert(got.every((item) => put.includes(item)));
    else assertEquals(got.toSorted(ascending), put.toSorted(ascending));
  }
}

for (const Class of [Queue, LifoQueue, PriorityQueue]) {
  Deno.test(`${Class.name} loses and doubles no item`, () =>
    withSeeds(async (dice) => {
      const queue = new Class<number>(dice.below(4));
      const ledger = new Ledger(dice, queue);
      await crowd(
        dice,
        3 + dice.below(6),
        () => ledger.act(),
        () => ledger.help(),
      );
      assert(!inspect(queue).includes("waiting"));
      ledger.drain();
      ledger.assertBalanced();
      if (Class === Queue) assertEquals(ledger.got, ledger.put);
      for (const _ of ledger.got) queue.taskDone();
      await queue.join();
    }));

  Deno.test(`${Class.name}.shutdown() tells everyone and accounts for every item`, () =>
    withSeeds(async (dice) => {
      const queue = new Class<number>(dice.below(4));
      const ledger = new Ledger(dice, queue);
      let dropped = 0;
      const shutDown = (immediate: boolean) => {
        if (immediate) dropped = queue.qsize();
        queue.shutdown(immediate);
      };
      getRunningLoop().callLater(dice.below(8), shutDown, dice.chance(50));
      const act = async () => {
        try {
          if (!dice.chance(10)) return await ledger.act();
          await attempt(dice, (it) => queue.join(it));
        } catch (error) {
          if (!(error instanceof QueueShutDown)) throw error;
        }
      };
      await crowd(dice, 3 + dice.below(6), act, () => {
        // Only those who join may still wait, for the items to be processed.
        assert(!inspect(queue).includes("waiting"));
        ledger.drain();
        for (let n = ledger.got.length; n > 0; n--) queue.taskDone();
      });
      ledger.drain();
      ledger.assertBalanced(dropped);
    }));
}

Deno.test("Lock has one holder at a time, serves in order and is free in the end", () =>
  withSeeds(async (dice) => {
    const lock = new Lock();
    const line = new Line();
    let holders = 0;
    await crowd(dice, 2 + dice.below(6), async () => {
      const guard = await line.through(() =>
        attempt(dice, (it) => lock.acquire(it))
      );
      if (guard === interrupted) return;
      assertEquals(++holders, 1);
      try {
        await pause(dice);
      } finally {
        holders--;
        if (dice.chance(50)) lock.release();
        guard[Symbol.dispose]();
      }
    }, () => assert(false, "Somebody was left behind"));
    assertEquals(inspect(lock), "<Lock unlocked>");
  }));

Deno.test("Semaphore keeps its permits, serves in order and has all of them in the end", () =>
  withSeeds(async (dice) => {
    const permits = 1 + dice.below(3);
    const semaphore = new Semaphore(permits);
    const line = new Line();
    let holders = 0;
    await crowd(dice, 2 + dice.below(8), async () => {
      const guard = await line.through(() =>
        attempt(dice, (it) => semaphore.acquire(it))
      );
      if (guard === interrupted) return;
      using _ = guard;
      assert(++holders <= permits);
      try {
        await pause(dice);
      } finally {
        holders--;
      }
    }, () => assert(false, "Somebody was left behind"));
    assertEquals(inspect(semaphore), `<Semaphore with ${permits} free>`);
  }));

Deno.test("Condition wakes one waiter for each notification, in order, and no other", () =>
  withSeeds(async (dice) => {
    const condition = new Condition();
    const line = new Line();
    const count = 2 + dice.below(8);
    let resumed = 0;
    let notified = 0;
    const body = async () => {
      using _ = await condition.acquire();
      const result = await line.through(() =>
        attempt(dice, (it) => condition.wait(it))
      );
      assert(condition.locked());
      if (result !== interrupted) resumed++;
      await pause(dice);
    };
    const tasks = Array.from({ length: count }, () => createTask(body));
    await sleep(0);
    const harassing = createTask(() => harass(dice, tasks));
    for (let n = dice.below(count + 2); n > 0; n--) {
      await pause(dice);
      using _ = await condition.acquire();
      const waiting = waitingFor(condition);
      const wakes = dice.pick([1, 1, 2]);
      condition.notify(wakes);
      notified += Math.min(wakes, waiting);
      await pause(dice);
    }
    await harassing;
    await sleep(100);
    const left = waitingFor(condition);
    assert(
      resumed <= notified,
      `${resumed} resumed by ${notified} notifications`,
    );
    assert(
      resumed === notified || left === 0,
      `${notified - resumed} were lost`,
    );
    assertEquals(line.waiting, left);
    {
      using _ = await condition.acquire();
      condition.notifyAll();
    }
    await gather(tasks, { returnExceptions: true });
    assertEquals(inspect(condition), "<Condition unlocked>");
  }));

Deno.test("Condition loses no wake-up of consumers that share a stock", () =>
  withSeeds(async (dice) => {
    const lock = new Lock();
    const [more, less] = [new Condition(lock), new Condition(lock)];
    const room = 1 + dice.below(2);
    let stock = 0;
    let made = 0;
    let taken = 0;
    const add = () => {
      assert(++stock <= room);
      made++;
      more.notify();
    };
    const take = () => {
      assert(--stock >= 0);
      taken++;
      less.notify();
    };
    await crowd(dice, 2 + dice.below(6), async () => {
      using _ = await lock.acquire();
      const [condition, ready, change] = dice.chance(50)
        ? [less, () => stock < room, add] as const
        : [more, () => stock > 0, take] as const;
      const result = await attempt(dice, (it) => condition.waitFor(ready, it));
      if (result !== interrupted) change();
    }, async () => {
      using _ = await lock.acquire();
      if (stock > 0) {
        assertEquals(waitingFor(more), 0, "Somebody waits for what is there");
        take();
      } else {
        assertEquals(waitingFor(less), 0, "Somebody waits for room there is");
        add();
      }
    });
    assertEquals(made, taken + stock);
    assertEquals(inspect(lock), "<Lock unlocked>");
  }));

Deno.test("Event lets everyone go who waited when it was set", () =>
  withSeeds(async (dice) => {
    const event = new Event();
    const waiting = new Set<string>();
    const check = async () => {
      const before = [...waiting];
      event.set();
      if (dice.chance(70)) event.clear();
      await sleep(0);
      await sleep(0);
      for (const name of before) assert(!waiting.has(name), `${name} stayed`);
      event.clear();
    };
    const setting = createTask(async () => {
      for (let n = dice.below(10); n > 0; n--) {
        await pause(dice);
        await check();
      }
    });
    await crowd(dice, 2 + dice.below(8), async (name) => {
      waiting.add(name);
      try {
        await attempt(dice, (it) => event.wait(it));
      } finally {
        waiting.delete(name);
      }
    }, (blocked) => {
      assertEquals(waiting.size, blocked);
      event.set();
      event.clear();
    });
    await setting;
    assertEquals(inspect(event), "<Event unset>");
  }));

Deno.test("Barrier lets full rounds go and strands nobody", () =>
  withSeeds(async (dice) => {
    const parties = 1 + dice.below(4);
    const barrier = new Barrier(parties);
    const upheaval = dice.chance(30);
    await crowd(dice, 2 + dice.below(8), async () => {
      if (upheaval && dice.chance(10)) {
        if (dice.chance(50)) await barrier.abort();
        await barrier.reset();
      }
      try {
        const position = await attempt(dice, (it) => barrier.wait(it));
        if (position === interrupted) return;
        assert(position >= 0 && position < parties);
      } catch (error) {
        if (!upheaval || !(error instanceof BrokenBarrierError)) throw error;
      }
    }, (blocked) => {
      assert(!barrier.broken);
      assertEquals(barrier.nWaiting, blocked);
      assert(blocked < parties);
      for (let n = blocked; n < parties; n++) void barrier.wait();
    });
    assertEquals(
      inspect(barrier),
      `<Barrier filling, 0 of ${parties} waiting>`,
    );
  }));

/** The number of waiters according to the inspected text. */
function waitingFor(condition: Condition): number {
  return Number(/(\d+) waiting/.exec(inspect(condition))?.[1] ?? 0);
}
