/** Generates random programs. The same seed always gives the same program. */

import type { Op, Program } from "../_trace_program.ts";

/** `plain` has the steps of the first traces, `wide` has all steps. */
export type Language = "plain" | "wide";

type Make = (it: Generator, depth: number) => Op;

/** Generates the program of a seed, with sleeps in place of the steps named in `without`. */
export function generate(
  seed: number,
  language: Language,
  without: readonly string[] = [],
): Program {
  return new Generator(seed, language, without).program();
}

class Generator {
  readonly #random: () => number;
  readonly #language: Language;
  readonly #without: Set<string>;
  /** The task whose code is being generated, and the number of tasks. */
  task = 0;
  tasks = 0;
  /** How many ops may still be generated. */
  #left = 0;

  constructor(seed: number, language: Language, without: readonly string[]) {
    this.#random = mulberry32(seed);
    this.#language = language;
    this.#without = new Set(without);
  }

  program(): Program {
    this.tasks = this.int(2, 5);
    const tasks: Op[][] = [];
    for (this.task = 0; this.task < this.tasks; this.task++) {
      this.#left = 24;
      tasks.push(this.block(0));
    }
    const { maxsize, sem, parties } = {
      maxsize: this.int(0, 2),
      sem: this.int(1, 2),
      parties: this.int(1, 3),
    };
    return { tasks, maxsize, sem, parties };
  }

  int(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  chance(part: number): boolean {
    return this.#random() < part;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)];
  }

  many<T>(from: number, to: number, make: (j: number) => T): T[] {
    return Array.from({ length: this.int(from, to) }, (_, j) => make(j));
  }

  block(depth: number): Op[] {
    return this.many(1, depth === 0 ? 5 : 3, () => this.op(depth));
  }

  blocks(depth: number): Op[][] {
    return this.many(1, 3, () => this.block(depth + 1));
  }

  op(depth: number): Op {
    if (--this.#left < 0 || depth > 4) return ["sleep", this.int(0, 3)];
    const op = this.anyOp(depth);
    return this.#without.has(op[0]) ? ["sleep", 1] : op;
  }

  anyOp(depth: number): Op {
    const wide = this.#language === "wide";
    const part = this.#random();
    if (part < 0.4) return this.pick(wide ? WIDE_SCOPES : SCOPES)(this, depth);
    if (part < 0.55) return ["sleep", this.int(0, 3)];
    return this.pick(wide ? WIDE_STEPS : STEPS)(this, depth);
  }

  /** An op that neither waits nor contains others. */
  act(): Op {
    const op = this.pick(ACTS)(this, 9);
    return this.#without.has(op[0]) ? ["eset"] : op;
  }

  acts(): Op[] {
    return this.many(0, 2, () => this.act());
  }

  /** First step, what it waits for, and what follows. */
  eager(depth: number): Op {
    const choice = this.pick([null, 0, 0, 1, 2, "hang"]);
    const wait = choice === 0 && this.#without.has("eager yield") ? 1 : choice;
    const ops = typeof wait === "number" ? this.block(depth + 1) : [];
    return ["eager", this.acts(), wait, ops];
  }

  child(depth: number): Op {
    const eager = this.chance(0.3) && !this.#without.has("eager");
    if (eager) return this.eager(depth);
    return ["lazy", this.block(depth + 1)];
  }

  children(depth: number): Op[] {
    return this.many(0, 3, () => this.child(depth));
  }

  /** A message for a cancellation, or none. */
  message(): string[] {
    return this.chance(0.3) ? [this.pick(["m", "n"])] : [];
  }

  /** Tasks that this one may wait for without waiting for itself. */
  later(from: number, to: number): number[] | null {
    if (this.task === this.tasks - 1) return null;
    return this.many(from, to, () => this.int(this.task + 1, this.tasks - 1));
  }

  delay(): number | null {
    return this.pick([null, 0, 1, 1, 2, 2, 3, -1]);
  }
}

const anyTask = (it: Generator) => it.int(0, it.tasks - 1);

const STEPS: Make[] = [
  (it) => ["put", it.int(0, 9)],
  () => ["get"],
  () => ["ewait"],
  () => ["eset"],
  () => ["eclear"],
  () => ["barrier"],
  (it) => ["cancel", anyTask(it)],
  (it) => ["cancel", anyTask(it)],
  (it) => ["uncancel", anyTask(it)],
  () => ["awaitlast"],
  () => ["awaitlast"],
  () => ["raise"],
];

const SCOPES: Make[] = [
  (it, depth) => ["lock", it.block(depth + 1)],
  (it, depth) => ["sem", it.block(depth + 1)],
  (it, depth) => ["spawn", it.block(depth + 1)],
  (it, depth) => ["timeout", it.pick([-1, 0, 1, 2, 3]), it.block(depth + 1)],
  (it, depth) => ["waitfor", it.pick([null, 0, 1, 2]), it.block(depth + 1)],
  (it, depth) => ["group", it.blocks(depth), it.block(depth + 1)],
  (it, depth) => ["gather", it.chance(0.5), it.blocks(depth)],
  (it, depth) => ["shield", it.block(depth + 1)],
  (it, depth) => ["try", it.block(depth + 1), it.block(depth + 1)],
  (it, depth) => ["swallow", it.block(depth + 1)],
];

/** Steps that never wait, also for callbacks and eager first steps. */
const ACTS: Make[] = [
  () => ["eset"],
  () => ["eclear"],
  (it) => ["cancel", anyTask(it), ...it.message()],
  (it) => ["cancel", anyTask(it), ...it.message()],
  (it) => ["uncancel", anyTask(it)],
  (it) => ["cancelself", ...it.message()],
  () => ["uncancelself"],
  () => ["cancelling"],
  (it) => ["cancellast", ...it.message()],
  (it) => ["outcome", anyTask(it)],
  (it) => ["resched", it.delay()],
  (it) => ["resched", it.delay()],
  () => ["tgcancel"],
  () => ["tgcancel"],
  (it) => ["tgspawn", it.child(4)],
  (it) => ["qputn", it.int(0, 2), it.int(0, 9)],
  (it) => ["qgetn", it.int(0, 2)],
  (it) => ["qdone", it.int(0, 2)],
  (it) => ["qstat", it.int(0, 2)],
  (it) => ["locked", it.pick(["lock", "sem", "cond", "bounded"])],
  () => ["cinc"],
  () => ["bstat"],
  (it) => ["fset", it.int(0, 1), it.int(0, 9)],
  (it) => ["ffail", it.int(0, 1)],
  (it) => ["fcancel", it.int(0, 1), ...it.message()],
  (it) => ["fnew", it.int(0, 1)],
  (it) => ["raise", it.pick(["E", "C"])],
];

const WIDE_STEPS: Make[] = [
  ...STEPS,
  ...ACTS,
  (it) => ["qput", it.int(0, 2), it.int(0, 9)],
  (it) => ["qput", it.int(0, 2), it.int(0, 9)],
  (it) => ["qget", it.int(0, 2)],
  (it) => ["qget", it.int(0, 2)],
  (it) => ["qjoin", it.int(0, 2)],
  (it) => it.chance(0.3) ? ["qshut", it.int(0, 2), it.chance(0.5)] : ["get"],
  (it) => ["acq", it.pick(["lock", "sem", "cond", "bounded"])],
  (it) => ["rel", it.pick(["lock", "sem", "cond", "bounded"])],
  () => ["cnotify", 1],
  () => ["breset"],
  (it) => it.chance(0.3) ? ["babort"] : ["barrier"],
  (it) => ["fwait", it.int(0, 1)],
  (it) => ["fwait", it.int(0, 1)],
  (it) => ["result", anyTask(it)],
  (it) => ["ondone", anyTask(it)],
  (it) => onLater(it, 1, 1, (tasks) => ["await", tasks[0]]),
  (it) => onLater(it, 1, 1, (tasks) => ["shieldt", tasks[0]]),
  (it) => onLater(it, 1, 1, (tasks) => ["waitfort", it.delay(), tasks[0]]),
  (it) => onLater(it, 1, 3, (tasks) => ["gathert", it.chance(0.5), tasks]),
  (it) => onLater(it, 1, 3, (tasks) => ["waitt", how(it), it.delay(), tasks]),
  (it) => ["soon", it.acts()],
  (it) => ["later", it.int(0, 2), it.acts()],
  () => ["cancelling"],
];

const WIDE_SCOPES: Make[] = [
  ...SCOPES,
  (it, depth) => ["cond", [...it.block(depth + 1), inCondition(it)]],
  (it, depth) => ["cond", [inCondition(it), ...it.block(depth + 1)]],
  (it, depth) => ["deadline", "in", it.delay(), it.block(depth + 1)],
  (it, depth) => ["deadline", "in", it.delay(), it.block(depth + 1)],
  (it, depth) => ["deadline", "at", it.int(0, 8), it.block(depth + 1)],
  (it, depth) => ["tg", it.children(depth), it.block(depth + 1)],
  (it, depth) => ["tg", it.children(depth), it.block(depth + 1)],
  (it, depth) => ["tg", it.children(depth), it.block(depth + 1)],
  (it, depth) => it.eager(depth),
  (it, depth) => ["wait", how(it), it.delay(), it.blocks(depth)],
  (it, depth) => ["ascomp", it.chance(0.5), it.delay(), it.blocks(depth)],
  (it, depth) => ["swallow", it.block(depth + 1)],
];

function how(it: Generator): string {
  return it.pick(["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]);
}

function inCondition(it: Generator): Op {
  return it.pick<Op>([
    ["cwait"],
    ["cwait"],
    ["cwaitfor", it.int(0, 2)],
    ["cnotify", it.int(1, 2)],
    ["cnotifyall"],
  ]);
}

function onLater(
  it: Generator,
  from: number,
  to: number,
  make: (tasks: number[]) => Op,
): Op {
  const tasks = it.later(from, to);
  return tasks === null ? ["sleep", 1] : make(tasks);
}

/** A small random number generator that is the same on all platforms. */
function mulberry32(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}
