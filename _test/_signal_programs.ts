// Programs for runner_signal_test.ts, which runs one by name and sends it a
// signal for every line "ready" that it prints.

import process from "node:process";
import {
  CancelledError,
  createTask,
  currentTask,
  Event,
  getRunningLoop,
  KeyboardInterrupt,
  run,
  Runner,
  sleep,
} from "@asyncio/asyncio";

const say = console.log;
const ready = () => say("ready");

/** Prints how a program ends, and returns the exit status that a shell expects. */
async function report(program: Promise<unknown>): Promise<number> {
  try {
    say(`value ${await program}`);
    return 0;
  } catch (error) {
    const { name } = error as Error;
    const what = error instanceof KeyboardInterrupt ? ` ${error.signal}` : "";
    say(`${name}${what}`);
    return error instanceof KeyboardInterrupt ? 130 : 1;
  }
}

/** Sleeps for an hour, and prints how that ends. */
const sleeper = (name: string) => async () => {
  try {
    await sleep(3600);
  } catch (error) {
    say(`${name} ${(error as Error).name}`);
    throw error;
  } finally {
    await sleep(0);
    say(`${name} is clean`);
  }
};

/** Ignores cancellations. */
async function ignoring(name: string): Promise<never> {
  for (;;) {
    await sleep(3600).catch(() => say(`${name} ignores it`));
    ready();
  }
}

const programs: Record<string, () => unknown> = {
  once: () =>
    report(run(async () => {
      createTask(sleeper("first worker"));
      createTask(sleeper("second worker"));
      createTask(ready);
      await sleeper("main")();
    })),

  handled: () =>
    report(run(async () => {
      createTask(ready);
      try {
        await sleep(3600);
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
        say(`cancelling ${currentTask()!.cancelling()}`);
      }
      await sleep(0);
      return "saved";
    })),

  ignored: () =>
    report(run(() => {
      createTask(ready);
      return ignoring("main");
    })),

  uncaught: () =>
    run(async () => {
      createTask(ready);
      await sleep(3600);
    }),

  yielding: () =>
    report(run(async () => {
      createTask(ready);
      try {
        for (;;) await sleep(0);
      } catch (error) {
        say((error as Error).name);
        throw new CancelledError();
      }
    })),

  future: async () => {
    const runner = new Runner();
    const future = runner.getLoop().createFuture();
    const status = await report(runner.run(async () => {
      createTask(ready);
      await future;
    }));
    say(`the future is cancelled: ${future.cancelled()}`);
    await runner.close();
    return status;
  },

  doubly: () =>
    report(run(async () => {
      const main = currentTask()!;
      const cancel = () => main.cancel();
      process.on("SIGINT", cancel);
      createTask(ready);
      try {
        await sleep(3600);
      } finally {
        say(`cancelling ${main.cancelling()}`);
        process.off("SIGINT", cancel);
      }
    })),

  leftover: () =>
    report(run(async () => {
      createTask(() => ignoring("worker"));
      createTask(ready);
      await sleeper("main")();
    })),

  done: () =>
    report(run(async () => {
      createTask(() => ignoring("worker"));
      await sleep(0);
      return "done";
    })),

  failing: () => {
    const main = async () => {
      getRunningLoop().setExceptionHandler((_, { message, exception }) =>
        say(`${message}: ${exception}`)
      );
      createTask(async () => {
        await sleep(3600).catch(() => {
          throw new RangeError("the worker's cleanup");
        });
      }, { name: "worker" });
      createTask(ready);
      await sleep(3600);
    };
    return report(run(main));
  },

  two: async () => {
    const both = new Event();
    const main = (name: string) => async () => {
      if (both.isSet()) ready();
      both.set();
      await sleeper(name)();
    };
    const statuses = await Promise.all([
      report(run(main("one"))),
      report(run(main("two"))),
    ]);
    return Math.max(...statuses);
  },

  again: async () => {
    await using runner = new Runner();
    const first = await report(runner.run(async () => {
      createTask(ready);
      createTask(sleeper("worker"));
      await sleep(3600);
    }));
    const second = await report(runner.run(async () => {
      createTask(ready);
      await sleep(3600);
    }));
    await report(runner.run(() => "third run"));
    return Math.max(first, second);
  },

  terminated: () =>
    report(run(async () => {
      createTask(ready);
      await sleep(3600);
    }, { signals: ["SIGTERM"] })),

  unheard: () =>
    report(run(async () => {
      createTask(ready);
      await sleep(3600);
    }, { signals: [] })),
};

if (import.meta.main) {
  const status = await programs[process.argv[2]!]();
  if (typeof status === "number") process.exitCode = status;
}
