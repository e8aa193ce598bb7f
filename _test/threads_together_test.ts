import { assertEquals } from "@std/assert";
import {
  allTasks,
  createTask,
  Event,
  gather,
  getRunningLoop,
  run,
  runCoroutineThreadsafe,
  sleep,
  toThread,
} from "@asyncio/asyncio";

Deno.test("allTasks() is exact with a hundred tasks, lazy and eager [test_free_threading.TestFreeThreading.test_all_tasks_race]", async () => {
  for (const eagerStart of [false, true]) {
    await run(async () => {
      const end = new Event();
      const tasks = Array.from(
        { length: 100 },
        () => createTask(() => end.wait(), { eagerStart }),
      );
      await sleep(0);
      assertEquals(allTasks().size, 101);
      for (const task of tasks.slice(0, 50)) task.cancel();
      await gather(tasks.slice(0, 50), { returnExceptions: true });
      assertEquals(allTasks().size, 51);
      end.set();
      await gather(tasks.slice(50));
      assertEquals(allTasks().size, 1);
    });
  }
});

Deno.test("runCoroutineThreadsafe() answers ten threads at once, each with its own result or error [test_free_threading.TestFreeThreading.test_run_coroutine_threadsafe] [test_free_threading.TestFreeThreading.test_run_coroutine_threadsafe_exception]", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({
      half: async (n: number) => {
        await sleep(0);
        if (n % 2 === 1) throw new RangeError(`${n} is odd`);
        return n / 2;
      },
    });
    const numbers = Array.from({ length: 10 }, (_, i) => i);
    const answers = await gather(
      numbers.map((n) => () =>
        toThread(
          (loop, n) => {
            try {
              return runCoroutineThreadsafe<number>("half", loop, n).result();
            } catch (error) {
              return String(error);
            }
          },
          loop.handle(),
          n,
        )
      ),
    );
    assertEquals(
      answers,
      numbers.map((n) => n % 2 ? `RangeError: ${n} is odd` : n / 2),
    );
  });
});

Deno.test("EventLoop.callSoonThreadsafe() returns a handle that cancels the callback [test_events.EventLoopTestsMixin.test_call_soon_threadsafe_handle_cancel_same_thread]", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const calls: string[] = [];
    const kept = loop.callSoonThreadsafe(() => calls.push("kept"));
    const dropped = loop.callSoonThreadsafe(() => calls.push("dropped"));
    dropped.cancel();
    await sleep(0);
    assertEquals(calls, ["kept"]);
    assertEquals([kept.cancelled(), dropped.cancelled()], [false, true]);
  });
});

Deno.test("EventLoop.callSoonThreadsafe() returns a handle that changes nothing while the callback runs [test_events.EventLoopTestsMixin.test_call_soon_threadsafe_handle_cancel_other_thread]", async () => {
  await run(async () => {
    const calls: string[] = [];
    const handle = getRunningLoop().callSoonThreadsafe(() => {
      handle.cancel();
      calls.push("runs on");
    });
    await sleep(0);
    handle.cancel();
    assertEquals(calls, ["runs on"]);
  });
});
