// Random little programs and what CPython 3.13 printed for them, its timers
// kept in order and its task groups iterated in the order of creation. Every
// line of the event log must come in the same order here. The language of the
// programs is what `step()` reads.

import { assertEquals } from "@std/assert";
import {
  Barrier,
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  gather,
  Lock,
  Queue,
  run,
  Semaphore,
  shield,
  sleep,
  type Task,
  TaskGroup,
  timeout,
  VirtualTimeLoop,
  waitFor,
} from "@asyncio/asyncio";

// deno-lint-ignore no-explicit-any
type Op = any[];

interface Program {
  tasks: Op[][];
  maxsize: number;
  sem: number;
  parties: number;
}

const traces: [Program, string[]][] = JSON.parse(
  await Deno.readTextFile(new URL("traces.json", import.meta.url)),
);

/** One program, its shared objects and its log. */
class Interpreter {
  readonly log: string[] = [];
  readonly loop: VirtualTimeLoop = new VirtualTimeLoop();
  readonly #queue: Queue<number>;
  readonly #lock = new Lock();
  readonly #semaphore: Semaphore;
  readonly #event = new Event();
  readonly #barrier: Barrier;
  readonly #tasks: Task<unknown>[] = [];
  /** The last task that each block has spawned. */
  readonly #spawned = new Map<string, Task<unknown>>();

  constructor(readonly program: Program) {
    this.#queue = new Queue(program.maxsize);
    this.#semaphore = new Semaphore(program.sem);
    this.#barrier = new Barrier(program.parties);
    this.loop.setExceptionHandler(() => {});
  }

  async main(): Promise<void> {
    this.program.tasks.forEach((ops, i) =>
      this.#tasks.push(createTask(() => this.#block(`t${i}`, ops)))
    );
    await sleep(50);
    this.#tasks.forEach((task, i) =>
      this.#say("end", i, task.done(), outcome(task), task.cancelling())
    );
    this.log.push("MARK");
    // A task that swallows every cancellation would keep the runner for ever.
    for (const task of this.#tasks) task.cancel();
  }

  async #block(name: string, ops: Op[]): Promise<string> {
    for (const [i, op] of ops.entries()) {
      const id = `${name}.${i}${op[0]}`;
      try {
        await this.#step(id, name, op);
        this.#say(id, "ok");
      } catch (error) {
        this.#say(id, "x", short(error), currentTask()?.cancelling());
        throw error;
      }
    }
    return "r";
  }

  async #step(id: string, block: string, op: Op): Promise<void> {
    switch (op[0]) {
      case "sleep":
        return await sleep(op[1]);
      case "put":
        return await this.#queue.put(op[1]);
      case "get":
        return this.#say(id, "got", await this.#queue.get());
      case "lock": {
        using _ = await this.#lock.acquire();
        this.#say(id, "in");
        return void await this.#block(id, op[1]);
      }
      case "sem": {
        using _ = await this.#semaphore.acquire();
        this.#say(id, "in");
        return void await this.#block(id, op[1]);
      }
      case "ewait":
        return void await this.#event.wait();
      case "eset":
        return this.#event.set();
      case "eclear":
        return this.#event.clear();
      case "barrier":
        return this.#say(id, await this.#barrier.wait());
      case "cancel": {
        const task = this.#tasks[op[1]];
        return this.#say(id, task.cancel(), task.cancelling());
      }
      case "uncancel":
        return this.#say(id, this.#tasks[op[1]].uncancel());
      case "spawn":
        this.#spawned.set(block, createTask(() => this.#block(id, op[1])));
        return;
      case "awaitlast":
        return void await this.#spawned.get(block);
      default:
        return await this.#scope(id, op);
    }
  }

  async #scope(id: string, op: Op): Promise<void> {
    switch (op[0]) {
      case "timeout":
        return void await timeout(op[1], () => this.#block(id, op[2]));
      case "waitfor":
        return void await waitFor(() => this.#block(id, op[2]), op[1]);
      case "group":
        return await TaskGroup.run(async (group) => {
          op[1].forEach((ops: Op[], j: number) =>
            group.createTask(() => this.#block(`${id}#${j}`, ops))
          );
          await this.#block(id, op[2]);
        });
      case "gather": {
        const bodies = op[2].map((ops: Op[], j: number) => () =>
          this.#block(`${id}#${j}`, ops)
        ) as (() => Promise<string>)[];
        const results = await gather(bodies, { returnExceptions: op[1] });
        return this.#say(id, (results as unknown[]).map(short));
      }
      case "shield":
        return void await shield(() => this.#block(id, op[1]));
      case "try":
        try {
          return void await this.#block(id, op[1]);
        } finally {
          await this.#block(`${id}f`, op[2]);
        }
      case "swallow":
        try {
          return void await this.#block(id, op[1]);
        } catch (error) {
          return this.#say(id, "swallowed", short(error));
        }
      case "raise":
        throw new RangeError("x");
      default:
        throw new TypeError(`Unknown step: ${op[0]}`);
    }
  }

  #say(...words: unknown[]): void {
    this.log.push([this.loop.time(), ...words].map(asPython).join(" "));
  }
}

function outcome(task: Task<unknown>): string {
  if (!task.done()) return "-";
  if (task.cancelled()) return "C";
  return task.exception() === null ? "-" : short(task.exception());
}

function short(value: unknown): string {
  if (value instanceof ExceptionGroup) {
    return `EG(${value.errors.map(short).join(",")})`;
  }
  if (!(value instanceof Error)) return String(value);
  if (value.name === "CancelledError") return "C";
  return value.name === "TimeoutError" ? "T" : value.name;
}

function asPython(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map((item) => `'${item}'`).join(", ")}]`;
  }
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(value);
}

Deno.test("random programs leave the same trace as in CPython", async () => {
  for (const [program, expected] of traces) {
    const interpreter = new Interpreter(program);
    await run(() => interpreter.main(), {
      loopFactory: () => interpreter.loop,
    });
    const { log } = interpreter;
    assertEquals(
      log.slice(0, log.indexOf("MARK")),
      expected,
      JSON.stringify(program),
    );
  }
});
