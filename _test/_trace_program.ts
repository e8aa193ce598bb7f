/**
 * Small programs of tasks that use everything at once, and an interpreter that
 * logs what happens in which order. `record/programs.py` is the same interpreter
 * on CPython's asyncio; both must produce the same log.
 */

import {
  allTasks,
  asCompleted,
  Barrier,
  BoundedSemaphore,
  CancelledError,
  Condition,
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  type Future,
  gather,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  run,
  Semaphore,
  shield,
  sleep,
  type Task,
  TaskGroup,
  type Timeout,
  timeout,
  timeoutAt,
  VirtualTimeLoop,
  wait,
  waitFor,
} from "@asyncio/asyncio";

/** A step of a program: its name and arguments, which may be blocks of further steps. */
// deno-lint-ignore no-explicit-any
export type Op = [string, ...any[]];

/** The tasks of a program, and the sizes of its shared objects. */
export interface Program {
  tasks: Op[][];
  maxsize: number;
  sem: number;
  parties: number;
}

/** The time at which a program is stopped. */
const HORIZON = 50;

/** Runs a program, and returns a line for each event. */
export async function trace(program: Program): Promise<string[]> {
  const interpreter = new Interpreter(program);
  return await run(() => interpreter.main(), {
    loopFactory: () => interpreter.loop,
  });
}

/** The first line at which a trace differs from CPython's. */
export function firstDifference(
  cpython: readonly string[],
  here: readonly string[],
): number | null {
  for (let i = 0; i < Math.max(cpython.length, here.length); i++) {
    if (!isSame(cpython[i], here[i])) return i;
  }
  return null;
}

/** CPython may lose the message of a cancellation that two tasks wait for. */
function isSame(cpython = "", here = ""): boolean {
  const words = here.split(" ");
  const expected = cpython.split(" ");
  return words.length === expected.length &&
    expected.every((word, i) =>
      word === words[i] || (word === "C" && words[i].startsWith("C:"))
    );
}

/** One program, its shared objects and its log. */
class Interpreter {
  readonly loop: VirtualTimeLoop = new VirtualTimeLoop();
  readonly #program: Program;
  readonly #log: string[] = [];
  readonly #queue: Queue<number>;
  readonly #queues: Queue<number>[];
  readonly #lock = new Lock();
  readonly #condition = new Condition();
  readonly #locks: Record<string, Lock | Condition | Semaphore>;
  readonly #event = new Event();
  readonly #barrier: Barrier;
  readonly #futures: Future<number>[];
  readonly #tasks: Task<string>[] = [];
  /** The last task that each block has started. */
  readonly #spawned = new Map<string, Task<unknown>>();
  readonly #timeouts = new Map<string, Timeout>();
  readonly #groups = new Map<string, TaskGroup>();
  #count = 0;

  constructor(program: Program) {
    this.#program = program;
    const { maxsize, sem, parties } = program;
    this.#queue = new Queue(maxsize);
    this.#queues = [
      new Queue(maxsize),
      new LifoQueue(maxsize),
      new PriorityQueue(maxsize),
    ];
    this.#locks = {
      lock: this.#lock,
      sem: new Semaphore(sem),
      cond: this.#condition,
      bounded: new BoundedSemaphore(sem),
    };
    this.#barrier = new Barrier(parties);
    this.#futures = [this.loop.createFuture(), this.loop.createFuture()];
    this.loop.setExceptionHandler(() => {});
  }

  async main(): Promise<string[]> {
    this.#program.tasks.forEach((ops, i) =>
      this.#tasks.push(createTask(() => this.#block(`t${i}`, ops)))
    );
    await sleep(HORIZON);
    this.#tasks.forEach((task, i) =>
      this.#say("end", i, task.done(), outcome(task), task.cancelling())
    );
    const log = [...this.#log];
    await this.#clear();
    return log;
  }

  /** Ends the remaining tasks. A task may swallow several cancellations. */
  async #clear(): Promise<void> {
    const main = currentTask();
    for (let i = 0; i < 100; i++) {
      const left = [...allTasks()].filter((task) => task !== main);
      if (left.length === 0) return;
      // A task that never releases the lock would block the waiters of a condition.
      if (this.#condition.locked()) this.#condition.release();
      for (const task of left) task.cancel();
      await sleep(0);
    }
  }

  async #block(name: string, ops: Op[]): Promise<string> {
    for (const [i, op] of ops.entries()) {
      const id = `${name}.${i}${op[0]}`;
      try {
        if (!this.#act(id, name, op)) await this.#step(id, name, op);
        this.#say(id, "ok");
      } catch (error) {
        this.#say(id, "x", short(error), currentTask()?.cancelling());
        throw error;
      }
    }
    return "r";
  }

  /** The first step of an eager task: nothing in it waits. */
  #acts(name: string, ops: Op[]): void {
    for (const [i, op] of ops.entries()) {
      const id = `${name}.${i}${op[0]}`;
      try {
        this.#act(id, name, op);
        this.#say(id, "ok");
      } catch (error) {
        this.#say(id, "x", short(error));
        throw error;
      }
    }
  }

  #eager(
    name: string,
    first: Op[],
    wait: number | "hang" | null,
    ops: Op[],
  ): string | Promise<string> {
    this.#acts(`${name}!`, first);
    if (wait === null) return "r";
    return (async () => {
      await (wait === "hang" ? this.loop.createFuture() : sleep(wait));
      return await this.#block(name, ops);
    })();
  }

  /** The coroutine function of a child, and the options of its task. */
  #child(
    name: string,
    [kind, ...rest]: Op,
  ): [() => string | Promise<string>, { eagerStart?: boolean }] {
    if (kind === "lazy") return [() => this.#block(name, rest[0]), {}];
    const [first, wait, ops] = rest;
    return [() => this.#eager(name, first, wait, ops), { eagerStart: true }];
  }

  #callback(name: string, ops: Op[]): () => void {
    return () => {
      try {
        this.#acts(name, ops);
      } catch {
        // It is in the log.
      }
    };
  }

  /** Performs a step that does not wait. Returns whether it was one. */
  #act(id: string, block: string, op: Op): boolean {
    return this.#actOnTasks(id, block, op) ||
      this.#actOnScopes(id, block, op) ||
      this.#actOnObjects(id, op) || this.#actOnFutures(id, op);
  }

  #actOnTasks(id: string, block: string, [name, ...args]: Op): boolean {
    const task = this.#tasks[args[0]];
    const current = currentTask();
    switch (name) {
      case "cancel":
        this.#say(id, task.cancel(args[1]), task.cancelling());
        return true;
      case "uncancel":
        this.#say(id, task.uncancel());
        return true;
      case "cancelself":
        current?.cancel(args[0]);
        this.#say(id, current?.cancelling());
        return true;
      case "uncancelself":
        this.#say(id, current?.uncancel());
        return true;
      case "cancelling":
        this.#say(id, current?.cancelling());
        return true;
      case "spawn":
        this.#spawned.set(block, createTask(() => this.#block(id, args[0])));
        return true;
      case "eager":
        this.#startEager(id, block, [name, ...args]);
        return true;
      case "cancellast": {
        const last = this.#spawned.get(block);
        this.#say(id, last?.cancel(args[0]), last?.cancelling());
        return true;
      }
      case "outcome":
        this.#say(id, task.done(), outcome(task));
        return true;
      case "result":
        this.#say(id, short(task.result()));
        return true;
      case "ondone":
        task.addDoneCallback((it) => this.#say(id, "called", outcome(it)));
        return true;
      default:
        return false;
    }
  }

  #startEager(id: string, block: string, op: Op): void {
    const [coro, options] = this.#child(id, op);
    const task = createTask(coro, options);
    this.#spawned.set(block, task);
    this.#say(id, task.done(), outcome(task));
  }

  #actOnScopes(id: string, block: string, [name, arg, more]: Op): boolean {
    switch (name) {
      case "soon":
        this.loop.callSoon(this.#callback(id, arg));
        return true;
      case "later":
        this.loop.callLater(arg, this.#callback(id, more));
        return true;
      case "resched": {
        const scope = enclosing(this.#timeouts, id);
        scope?.reschedule(arg === null ? null : this.loop.time() + arg);
        if (scope) this.#say(id, scope.when());
        return true;
      }
      case "tgspawn": {
        const [coro, options] = this.#child(id, arg);
        const task = enclosing(this.#groups, id)?.createTask(coro, options);
        if (task) this.#spawned.set(block, task);
        return true;
      }
      case "tgcancel":
        enclosing(this.#groups, id)?.cancel();
        return true;
      default:
        return false;
    }
  }

  #actOnObjects(id: string, [name, arg, more]: Op): boolean {
    switch (name) {
      case "eset":
        this.#event.set();
        return true;
      case "eclear":
        this.#event.clear();
        return true;
      case "rel":
        this.#locks[arg].release();
        this.#say(id, this.#locks[arg].locked());
        return true;
      case "locked":
        this.#say(id, this.#locks[arg].locked());
        return true;
      case "cinc":
        this.#count++;
        return true;
      case "cnotify":
        this.#condition.notify(arg);
        return true;
      case "cnotifyall":
        this.#condition.notifyAll();
        return true;
      case "bstat":
        this.#say(id, this.#barrier.nWaiting, this.#barrier.broken);
        return true;
      default:
        return this.#actOnQueues(id, [name, arg, more]);
    }
  }

  #actOnQueues(id: string, [name, k, arg]: Op): boolean {
    const queue = this.#queues[k];
    switch (name) {
      case "qputn":
        queue.putNowait(arg);
        return true;
      case "qgetn":
        this.#say(id, "got", queue.getNowait());
        return true;
      case "qdone":
        queue.taskDone();
        return true;
      case "qshut":
        queue.shutdown(arg);
        return true;
      case "qstat":
        this.#say(id, queue.qsize(), queue.empty(), queue.full());
        return true;
      default:
        return false;
    }
  }

  #actOnFutures(id: string, [name, k, arg]: Op): boolean {
    switch (name) {
      case "fset":
        this.#futures[k].setResult(arg);
        return true;
      case "ffail":
        this.#futures[k].setException(new RangeError());
        return true;
      case "fcancel":
        this.#say(id, this.#futures[k].cancel(arg));
        return true;
      case "fnew":
        this.#futures[k] = this.loop.createFuture();
        return true;
      case "raise":
        if (k === "C") throw new CancelledError("own");
        throw new RangeError("x");
      default:
        return false;
    }
  }

  async #step(id: string, block: string, op: Op): Promise<void> {
    switch (op[0]) {
      case "sleep":
        return await sleep(op[1]);
      case "put":
        return await this.#queue.put(op[1]);
      case "get":
        return this.#say(id, "got", await this.#queue.get());
      case "qput":
        return await this.#queues[op[1]].put(op[2]);
      case "qget":
        return this.#say(id, "got", await this.#queues[op[1]].get());
      case "qjoin":
        return await this.#queues[op[1]].join();
      case "lock":
      case "sem":
      case "cond":
        return await this.#locked(id, this.#locks[op[0]], op[1]);
      case "acq":
        return void await this.#locks[op[1]].acquire();
      case "ewait":
        return void await this.#event.wait();
      case "cwait":
        return this.#say(id, await this.#condition.wait());
      case "cwaitfor":
        return this.#say(
          id,
          await this.#condition.waitFor(() => this.#count >= op[1]),
        );
      case "barrier":
        return this.#say(id, await this.#barrier.wait());
      case "breset":
        return await this.#barrier.reset();
      case "babort":
        return await this.#barrier.abort();
      case "awaitlast":
        return void await this.#spawned.get(block);
      case "await":
        return this.#say(id, await this.#tasks[op[1]]);
      case "awaitself":
        return void await currentTask();
      case "fwait":
        return this.#say(id, await this.#futures[op[1]]);
      default:
        return await this.#scope(id, op);
    }
  }

  async #locked(
    id: string,
    lock: Lock | Condition | Semaphore,
    ops: Op[],
  ): Promise<void> {
    await lock.acquire();
    try {
      this.#say(id, "in");
      await this.#block(id, ops);
    } finally {
      // As at the end of Python's block: it fails if another has released it.
      lock.release();
    }
  }

  async #scope(id: string, op: Op): Promise<void> {
    switch (op[0]) {
      case "timeout":
        return void await timeout(op[1], () => this.#block(id, op[2]));
      case "deadline":
        return await this.#deadline(id, op);
      case "waitfor":
        return void await waitFor(() => this.#block(id, op[2]), op[1]);
      case "waitfort":
        return this.#say(id, await waitFor(this.#tasks[op[2]], op[1]));
      case "group":
        return await this.#group(
          id,
          op[1].map((ops: Op[]) => ["lazy", ops]),
          op[2],
        );
      case "tg":
        return await this.#group(id, op[1], op[2], true);
      case "shield":
        return void await shield(() => this.#block(id, op[1]));
      case "shieldt":
        return this.#say(id, await shield(this.#tasks[op[1]]));
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
      default:
        return await this.#several(id, op);
    }
  }

  async #several(id: string, op: Op): Promise<void> {
    switch (op[0]) {
      case "gather": {
        const bodies = op[2].map((ops: Op[], j: number) => () =>
          this.#block(`${id}#${j}`, ops)
        ) as (() => Promise<string>)[];
        const results = await gather(bodies, { returnExceptions: op[1] });
        return this.#say(id, (results as unknown[]).map(kind));
      }
      case "gathert": {
        const tasks = op[2].map((i: number) => this.#tasks[i]) as Task<
          string
        >[];
        const results = await gather(tasks, { returnExceptions: op[1] });
        return this.#say(id, (results as unknown[]).map(kind));
      }
      case "wait":
        return await this.#wait(id, op, this.#children(id, op[3]));
      case "waitt":
        return await this.#wait(
          id,
          op,
          op[3].map((i: number) => this.#tasks[i]),
        );
      case "ascomp":
        return await this.#asCompleted(id, op, this.#children(id, op[3]));
      default:
        throw new TypeError(`Unknown step: ${op[0]}`);
    }
  }

  async #deadline(id: string, [, kind, delay, ops]: Op): Promise<void> {
    let scope: Timeout;
    const body = (it: Timeout) => {
      scope = it;
      this.#timeouts.set(id, it);
      return this.#block(id, ops);
    };
    try {
      await (kind === "in" ? timeout : timeoutAt)(delay, body);
    } finally {
      this.#say(id, "expired", scope!.expired(), scope!.when());
    }
  }

  async #group(
    id: string,
    children: Op[],
    ops: Op[],
    named = false,
  ): Promise<void> {
    await TaskGroup.run(async (group) => {
      if (named) this.#groups.set(id, group);
      children.forEach((child, j) =>
        group.createTask(...this.#child(`${id}#${j}`, child))
      );
      await this.#block(id, ops);
    });
  }

  #children(id: string, blocks: Op[][]): Task<string>[] {
    return blocks.map((ops, j) =>
      createTask(() => this.#block(`${id}#${j}`, ops))
    );
  }

  async #wait(
    id: string,
    [, returnWhen, timeout]: Op,
    tasks: Task<string>[],
  ): Promise<void> {
    const [done, pending] = await wait(tasks, { returnWhen, timeout });
    const ended = tasks.filter((task) => done.has(task)).map(outcome);
    const left = [...tasks.keys()].filter((i) => pending.has(tasks[i]));
    this.#say(id, ...ended, "/", ...left);
  }

  async #asCompleted(
    id: string,
    [, plain, timeout]: Op,
    tasks: Task<string>[],
  ): Promise<void> {
    if (plain) return await this.#turns(id, timeout, tasks);
    for await (const done of asCompleted(tasks, { timeout })) {
      this.#say(
        id,
        tasks.indexOf(done as Task<string>),
        outcome(done as Task<string>),
      );
    }
  }

  async #turns(
    id: string,
    timeout: number | null,
    tasks: Task<string>[],
  ): Promise<void> {
    for (const turn of asCompleted(tasks, { timeout })) {
      try {
        this.#say(id, await turn);
      } catch (error) {
        if (error instanceof CancelledError) throw error;
        this.#say(id, "bad", short(error));
      }
    }
  }

  #say(...words: unknown[]): void {
    this.#log.push([this.loop.time(), ...words].map(asPython).join(" "));
  }
}

/** The innermost scope around a step. */
function enclosing<T>(scopes: Map<string, T>, id: string): T | undefined {
  const keys = [...scopes.keys()].filter((key) => id.startsWith(key));
  const key = keys.reduce((a, b) => b.length > a.length ? b : a, "");
  return scopes.get(key);
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
  if (value instanceof CancelledError) {
    return value.message === "" ? "C" : `C:${value.message}`;
  }
  return value.name === "TimeoutError" ? "T" : value.name;
}

/** Without the message of a cancellation, which CPython's gather() may lose. */
function kind(value: unknown): string {
  return short(value).split(":")[0];
}

function asPython(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map((item) => `'${item}'`).join(", ")}]`;
  }
  if (typeof value === "boolean") return value ? "True" : "False";
  return value === undefined || value === null ? "None" : String(value);
}
