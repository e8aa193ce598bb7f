/**
 * Who waits for whom: the edges between tasks, and the tree of all of them.
 *
 * @module
 */

import { WatchedFrame } from "./_debug.ts";
import { type Cancelable, hooks, type TaskFrame, tasksOf } from "./_frame.ts";
import type { EventLoop } from "./_future.ts";
import { inspect } from "./_host.ts";
import { makingOf } from "./_place.ts";
import {
  awaitedBy,
  futuresBehind,
  isPending,
  progressOf,
  taskOfHolder,
  tasksBehind,
} from "./_text.ts";

/** How deep a tree is drawn, and how long a stack is shown in it. */
const DEPTH = 32;
const LINES = 8;

/** The frames of the tasks of a loop that are not done, in the order of their making. */
export function framesOfLoop(loop: EventLoop): TaskFrame[] {
  const frames: TaskFrame[] = [];
  for (let it = tasksOf(loop).first; it !== null; it = it.next) frames.push(it);
  return frames.reverse();
}

/** The tasks that one waits for: to end, or to give up what they hold. */
export function waitedTasks(frame: TaskFrame): Set<TaskFrame> {
  const pending = awaitedBy(frame).filter(isPending);
  return new Set(pending.flatMap((it) => [...tasksBehind(it), ...holders(it)]));
}

/** By what is waited for: the tasks that wait for it, be it through a gather, a lock or the like. */
export function waitersIn(
  frames: readonly TaskFrame[],
): Map<Cancelable, Set<TaskFrame>> {
  const waiters = new Map<Cancelable, Set<TaskFrame>>();
  for (const frame of frames) {
    for (const future of awaitedBy(frame).filter(isPending)) {
      for (const target of targetsOf(future)) {
        const known = waiters.get(target) ?? new Set();
        waiters.set(target, known.add(frame));
      }
    }
  }
  return waiters;
}

/** All tasks of a loop as a tree: below each, those it waits for. */
export function describeTasks(loop: EventLoop): string {
  const frames = framesOfLoop(loop);
  const lines = [inspect(loop, { colors: false })];
  const tree = new Tree(lines);
  const below = new Set(frames.flatMap((frame) => [...waitedTasks(frame)]));
  tree.add(frames.filter((frame) => !below.has(frame)));
  tree.add(frames);
  for (const circle of circlesIn(frames)) lines.push(...describeCircle(circle));
  if (frames.length > 0 && !loop.getDebug()) {
    lines.push("Debug mode would show the lines where they wait");
  }
  return lines.join("\n");
}

/** What a task is, and what it is doing. */
export function headline(frame: TaskFrame): string {
  const cancelled = frame.total > 0 ? " (cancelled, but not ended)" : "";
  return `Task ${JSON.stringify(frame.name)}${cancelled} ${progressOf(frame)}`;
}

/** Lines on where a task waits and where it was made, as far as debug mode knows. */
export function placesOf(frame: TaskFrame): string[] {
  if (!(frame instanceof WatchedFrame)) return [];
  const stack = (frame.place?.frames ?? []).slice(0, LINES);
  const made = frame.task && makingOf(frame.task)?.line;
  return [
    ...stack.map((line) => `at ${line}`),
    ...(made ? [`made at ${made}`] : []),
  ];
}

/** Draws tasks below those that wait for them, each once. */
class Tree {
  readonly #lines: string[];
  readonly #drawn = new Set<TaskFrame>();
  /** What is too deep to be drawn where it belongs. */
  readonly #deeper: TaskFrame[] = [];

  constructor(lines: string[]) {
    this.#lines = lines;
  }

  /** Draws tasks, unless they have been drawn below others. */
  add(frames: readonly TaskFrame[]): void {
    for (const frame of frames) {
      let next: TaskFrame | undefined = frame;
      for (; next !== undefined; next = this.#deeper.shift()) {
        if (!this.#drawn.has(next)) this.#draw(next, []);
      }
    }
  }

  #draw(frame: TaskFrame, path: readonly TaskFrame[]): void {
    const indent = "  ".repeat(path.length);
    const known = path.includes(frame)
      ? " (this closes a circle)"
      : this.#drawn.has(frame)
      ? " (see above)"
      : "";
    this.#lines.push(`${indent}* ${headline(frame)}${known}`);
    if (known !== "") return;
    this.#drawn.add(frame);
    this.#lines.push(...placesOf(frame).map((line) => `${indent}    ${line}`));
    const below = [...waitedTasks(frame)];
    if (path.length >= DEPTH) this.#deeper.push(...below);
    else for (const next of below) this.#draw(next, [...path, frame]);
  }
}

/** The circles of tasks that wait for one another, each once. */
export function circlesIn(frames: readonly TaskFrame[]): TaskFrame[][] {
  const circles: TaskFrame[][] = [];
  const finished = new Set<TaskFrame>();
  for (const start of frames) {
    const path: { frame: TaskFrame; rest: TaskFrame[] }[] = [];
    const enter = (frame: TaskFrame) => {
      const at = path.findIndex((step) => step.frame === frame);
      if (at >= 0) circles.push(path.slice(at).map((step) => step.frame));
      else if (!finished.has(frame)) {
        path.push({ frame, rest: [...waitedTasks(frame)] });
      }
    };
    enter(start);
    while (path.length > 0) {
      const { frame, rest } = path.at(-1)!;
      const next = rest.shift();
      if (next !== undefined) enter(next);
      else {
        finished.add(frame);
        path.pop();
      }
    }
  }
  return circles;
}

function describeCircle(circle: readonly TaskFrame[]): string[] {
  return [
    "These tasks wait for each other in a circle:",
    ...circle.map((frame) => `  ${headline(frame)}`),
  ];
}

/** Everything that a future stands for: itself, what it waits for, and who holds that. */
function targetsOf(future: Cancelable): Cancelable[] {
  return [...futuresBehind(future)].flatMap((it) => [
    it,
    ...holders(it).flatMap((frame) => frame.task ?? []),
  ]);
}

/** The task that has what a future waits for. */
function holders(future: Cancelable): TaskFrame[] {
  const frame = taskOfHolder(hooks.about(future).behind?.holder);
  return frame === null || frame.over ? [] : [frame];
}
