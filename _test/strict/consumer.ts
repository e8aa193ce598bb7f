// A program as its users write it who have all strict options of the compiler
// on; `strict_types_test.ts` checks and runs it.

import {
  asCompleted,
  createTask,
  type Future,
  gather,
  openConnection,
  Queue,
  run,
  sleep,
  type StreamWriter,
  type Task,
  TaskGroup,
  timeout,
  wait,
  waitFor,
} from "@asyncio/asyncio";

/** Options that are passed on, `undefined` or not. */
export interface Asked {
  signal?: AbortSignal | undefined;
  limit?: number | undefined;
}

export async function passOn({ signal, limit }: Asked): Promise<number[]> {
  await sleep(0, { signal });
  const queue: Queue<number> = new Queue();
  queue.putNowait(1);
  const one: number = await queue.get({ signal });
  const two: number = await waitFor(() => sleep(0, { result: 2 }), 1, {
    signal,
  });
  const three: Task<number> = createTask(() => 3, { signal });
  return [one, two, ...await gather([three, () => 4], { limit, signal })];
}

export async function collect(): Promise<string[]> {
  const slots: [number | Error, void | Error] = await gather(
    [() => 1, () => {}],
    { returnExceptions: true },
  );
  const results: string[] = slots.map((it) =>
    it instanceof Error ? it.name : String(it)
  );
  const tasks: Task<string>[] = ["a", "b"].map((it) => createTask(() => it));
  const [done, pending]: [Set<Task<string>>, Set<Task<string>>] = await wait(
    tasks,
  );
  for (const task of done) results.push(task.getName() === "" ? "" : "named");
  for await (const task of asCompleted(tasks)) results.push(task.result());
  return [...results, String(pending.size)];
}

export function scopes(limit?: number): Promise<string> {
  return timeout(1, ({ signal }) =>
    TaskGroup.run(async (group) => {
      const child: Future<string> = group.createTask(() => "child", { signal });
      return await child;
    }, { limit }));
}

export async function peer(port: number): Promise<number> {
  const [, writer] = await openConnection("127.0.0.1", port);
  return portOf(writer);
}

function portOf(writer: StreamWriter): number {
  const address = writer.getExtraInfo("peername");
  return address !== undefined && "port" in address ? address.port : 0;
}

if (import.meta.main) {
  const all = [
    await run(() => passOn({ signal: undefined, limit: undefined })),
    await run(collect),
    await run(() => scopes()),
  ];
  console.log(JSON.stringify(all));
}
