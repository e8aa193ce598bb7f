"""Runs programs of the recorder on CPython's asyncio.

Reads one program a line from stdin, as JSON, and writes its trace as one line
of JSON. `_test/_trace_program.ts` is the same interpreter in TypeScript; both
must log the same words. Timers that are due together keep their order here and
groups are iterated in the order of creation, as CPython promises neither.
"""

import asyncio
import collections
import heapq
import json
import sys
import warnings

HORIZON = 50
KEPT = []


class Timer(asyncio.TimerHandle):
    """A timer that keeps its order among timers of the same time."""

    __slots__ = ("order",)
    made = 0

    def __init__(self, *args):
        super().__init__(*args)
        Timer.made += 1
        self.order = Timer.made

    def __lt__(self, other):
        return (self._when, self.order) < (other._when, other.order)


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop whose clock jumps to the next timer when nothing is ready."""

    def __init__(self):
        super().__init__()
        self._now = 0
        self._clock_resolution = 1e-9
        self._selector = self

    def time(self):
        return self._now

    def call_at(self, when, callback, *args, context=None):
        timer = Timer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError("Nothing is left that could happen")
        if timeout > 0:
            self._now = self._scheduled[0]._when
        return []

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


class OrderedSet(dict):
    def add(self, item):
        self[item] = None

    def discard(self, item):
        self.pop(item, None)


class Waiters(collections.deque):
    """Records for each task whether it was notified."""

    def __init__(self):
        super().__init__()
        self.notified = {}

    def remove(self, waiter):
        done = waiter.done() and not waiter.cancelled()
        self.notified[asyncio.current_task()] = done
        super().remove(waiter)


class Condition(asyncio.Condition):
    """A condition without spurious wake-ups.

    CPython wakes another waiter when one is cancelled, whether or not that one
    was notified.
    """

    def __init__(self):
        super().__init__()
        self._waiters = Waiters()

    def _notify(self, n):
        if self._waiters.notified.pop(asyncio.current_task(), True):
            super()._notify(n)


def short(value):
    if isinstance(value, BaseExceptionGroup):
        return f"EG({','.join(map(short, value.exceptions))})"
    if isinstance(value, asyncio.CancelledError):
        return "C" if not value.args or value.args[0] in ("", None) else f"C:{value.args[0]}"
    if isinstance(value, TimeoutError):
        return "T"
    if isinstance(value, ValueError):
        return "RangeError"
    if isinstance(value, BaseException):
        return type(value).__name__
    return str(value)


def outcome(task):
    if not task.done():
        return "-"
    if task.cancelled():
        return "C"
    return "-" if task.exception() is None else short(task.exception())


class Interpreter:
    """One program, its shared objects and its log."""

    def __init__(self, program, loop):
        self.program = program
        self.loop = loop
        self.log = []
        self.tasks = []
        self.spawned = {}
        self.timeouts = {}
        self.groups = {}
        maxsize = program["maxsize"]
        self.queue = asyncio.Queue(maxsize)
        self.queues = [
            asyncio.Queue(maxsize),
            asyncio.LifoQueue(maxsize),
            asyncio.PriorityQueue(maxsize),
        ]
        self.lock = asyncio.Lock()
        self.semaphore = asyncio.Semaphore(program["sem"])
        self.condition = Condition()
        self.locks = {
            "lock": self.lock,
            "sem": self.semaphore,
            "cond": self.condition,
            "bounded": asyncio.BoundedSemaphore(program["sem"]),
        }
        self.event = asyncio.Event()
        self.barrier = asyncio.Barrier(program["parties"])
        self.count = 0
        self.futures = [loop.create_future() for _ in range(2)]
        loop.set_exception_handler(lambda loop, context: None)

    async def main(self):
        for i, ops in enumerate(self.program["tasks"]):
            self.tasks.append(asyncio.create_task(self.block(f"t{i}", ops)))
        await asyncio.sleep(HORIZON)
        for i, task in enumerate(self.tasks):
            self.say("end", i, task.done(), outcome(task), task.cancelling())
        log = list(self.log)
        await self.clear()
        return log

    async def clear(self):
        """Ends the remaining tasks. A task may swallow several cancellations."""
        for _ in range(100):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                return
            # A task that never releases the lock would block a condition's waiters.
            if self.condition.locked():
                self.condition.release()
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        # Collecting these would run their code in the middle of a later program.
        KEPT.extend(left)

    def say(self, *words):
        self.log.append(" ".join(map(str, (self.loop.time(), *words))))

    async def block(self, name, ops):
        for i, op in enumerate(ops):
            id = f"{name}.{i}{op[0]}"
            try:
                if not self.act(id, name, op):
                    await self.step(id, name, op)
                self.say(id, "ok")
            except BaseException as error:
                task = asyncio.current_task()
                self.say(id, "x", short(error), task and task.cancelling())
                raise
        return "r"

    def acts(self, name, ops):
        """The first step of an eager task: nothing in it waits."""
        for i, op in enumerate(ops):
            id = f"{name}.{i}{op[0]}"
            try:
                self.act(id, name, op)
                self.say(id, "ok")
            except BaseException as error:
                self.say(id, "x", short(error))
                raise

    async def eager(self, name, first, wait, ops):
        self.acts(f"{name}!", first)
        if wait is None:
            return "r"
        if wait == "hang":
            await self.loop.create_future()
        else:
            await asyncio.sleep(wait)
        return await self.block(name, ops)

    def child(self, name, child):
        """The coroutine of a child, and the options of its task."""
        if child[0] == "lazy":
            return self.block(name, child[1]), {}
        return self.eager(name, *child[1:]), {"eager_start": True}

    def callback(self, name, ops):
        def run():
            try:
                self.acts(name, ops)
            except Exception:
                pass
        return run

    def enclosing(self, things, id):
        keys = [key for key in things if id.startswith(key)]
        return things[max(keys, key=len)] if keys else None

    def act(self, id, block, op):
        """Performs a step that does not wait. Returns whether it was one."""
        return (
            self.act_on_tasks(id, block, op)
            or self.act_on_scopes(id, block, op)
            or self.act_on_queues(id, op)
            or self.act_on_objects(id, op)
        )

    def act_on_tasks(self, id, block, op):
        match op:
            case ["cancel", i, *message]:
                task = self.tasks[i]
                self.say(id, task.cancel(*message), task.cancelling())
            case ["uncancel", i]:
                self.say(id, self.tasks[i].uncancel())
            case ["cancelself", *message]:
                task = asyncio.current_task()
                self.say(id, task and (task.cancel(*message), task.cancelling())[1])
            case ["uncancelself"]:
                task = asyncio.current_task()
                self.say(id, task and task.uncancel())
            case ["cancelling"]:
                task = asyncio.current_task()
                self.say(id, task and task.cancelling())
            case ["spawn", ops]:
                self.spawned[block] = asyncio.create_task(self.block(id, ops))
            case ["eager", first, wait, ops]:
                task = asyncio.create_task(
                    self.eager(id, first, wait, ops), eager_start=True)
                self.spawned[block] = task
                self.say(id, task.done(), outcome(task))
            case ["cancellast", *message]:
                task = self.spawned.get(block)
                self.say(id, task and task.cancel(*message), task and task.cancelling())
            case ["outcome", i]:
                task = self.tasks[i]
                self.say(id, task.done(), outcome(task))
            case ["result", i]:
                self.say(id, short(self.tasks[i].result()))
            case ["ondone", i]:
                self.tasks[i].add_done_callback(
                    lambda task: self.say(id, "called", outcome(task)))
            case _:
                return False
        return True

    def act_on_scopes(self, id, block, op):
        match op:
            case ["soon", ops]:
                self.loop.call_soon(self.callback(id, ops))
            case ["later", delay, ops]:
                self.loop.call_later(delay, self.callback(id, ops))
            case ["resched", delay]:
                scope = self.enclosing(self.timeouts, id)
                when = None if delay is None else self.loop.time() + delay
                if scope is not None:
                    scope.reschedule(when)
                    self.say(id, scope.when())
            case ["tgspawn", child]:
                group = self.enclosing(self.groups, id)
                if group is not None:
                    coro, options = self.child(id, child)
                    self.spawned[block] = group.create_task(coro, **options)
            case ["tgcancel"]:
                group = self.enclosing(self.groups, id)
                if group is not None:
                    group.cancel()
            case _:
                return False
        return True

    def act_on_queues(self, id, op):
        match op:
            case ["qputn", k, item]:
                self.queues[k].put_nowait(item)
            case ["qgetn", k]:
                self.say(id, "got", self.queues[k].get_nowait())
            case ["qdone", k]:
                self.queues[k].task_done()
            case ["qshut", k, immediate]:
                self.queues[k].shutdown(immediate)
            case ["qstat", k]:
                queue = self.queues[k]
                self.say(id, queue.qsize(), queue.empty(), queue.full())
            case _:
                return False
        return True

    def act_on_objects(self, id, op):
        match op:
            case ["eset"]:
                self.event.set()
            case ["eclear"]:
                self.event.clear()
            case ["rel", which]:
                self.locks[which].release()
                self.say(id, self.locks[which].locked())
            case ["locked", which]:
                self.say(id, self.locks[which].locked())
            case ["cinc"]:
                self.count += 1
            case ["cnotify", n]:
                self.condition.notify(n)
            case ["cnotifyall"]:
                self.condition.notify_all()
            case ["bstat"]:
                self.say(id, self.barrier.n_waiting, self.barrier.broken)
            case ["fset", k, value]:
                self.futures[k].set_result(value)
            case ["ffail", k]:
                self.futures[k].set_exception(ValueError())
            case ["fcancel", k, *message]:
                self.say(id, self.futures[k].cancel(*message))
            case ["fnew", k]:
                self.futures[k] = self.loop.create_future()
            case ["raise", *kind]:
                if kind == ["C"]:
                    raise asyncio.CancelledError("own")
                raise ValueError()
            case _:
                return False
        return True

    async def step(self, id, block, op):
        match op:
            case ["sleep", delay]:
                await asyncio.sleep(delay)
            case ["put", item]:
                await self.queue.put(item)
            case ["get"]:
                self.say(id, "got", await self.queue.get())
            case ["qput", k, item]:
                await self.queues[k].put(item)
            case ["qget", k]:
                self.say(id, "got", await self.queues[k].get())
            case ["qjoin", k]:
                await self.queues[k].join()
            case ["lock" | "sem" | "cond" as which, ops]:
                async with self.locks[which]:
                    self.say(id, "in")
                    await self.block(id, ops)
            case ["acq", which]:
                await self.locks[which].acquire()
            case ["ewait"]:
                await self.event.wait()
            case ["cwait"]:
                self.say(id, await self.condition.wait())
            case ["cwaitfor", n]:
                self.say(id, await self.condition.wait_for(lambda: self.count >= n))
            case ["barrier"]:
                self.say(id, await self.barrier.wait())
            case ["breset"]:
                await self.barrier.reset()
            case ["babort"]:
                await self.barrier.abort()
            case ["awaitlast"]:
                if block in self.spawned:
                    await self.spawned[block]
            case ["await", i]:
                self.say(id, await self.tasks[i])
            case ["awaitself"]:
                await asyncio.current_task()
            case ["fwait", k]:
                self.say(id, await self.futures[k])
            case _:
                await self.scope(id, op)

    async def scope(self, id, op):
        match op:
            case ["timeout", delay, ops]:
                async with asyncio.timeout(delay):
                    await self.block(id, ops)
            case ["deadline", kind, delay, ops]:
                make = asyncio.timeout if kind == "in" else asyncio.timeout_at
                await self.deadline(id, make(delay), ops)
            case ["waitfor", delay, ops]:
                await asyncio.wait_for(self.block(id, ops), delay)
            case ["waitfort", delay, i]:
                self.say(id, await asyncio.wait_for(self.tasks[i], delay))
            case ["group", children, ops]:
                async with asyncio.TaskGroup() as group:
                    group._tasks = OrderedSet()
                    for j, child in enumerate(children):
                        group.create_task(self.block(f"{id}#{j}", child))
                    await self.block(id, ops)
            case ["tg", children, ops]:
                async with asyncio.TaskGroup() as group:
                    group._tasks = OrderedSet()
                    self.groups[id] = group
                    for j, child in enumerate(children):
                        coro, options = self.child(f"{id}#{j}", child)
                        group.create_task(coro, **options)
                    await self.block(id, ops)
            case ["shield", ops]:
                await asyncio.shield(self.block(id, ops))
            case ["shieldt", i]:
                self.say(id, await asyncio.shield(self.tasks[i]))
            case ["try", ops, final]:
                try:
                    await self.block(id, ops)
                finally:
                    await self.block(f"{id}f", final)
            case ["swallow", ops]:
                try:
                    await self.block(id, ops)
                except BaseException as error:
                    self.say(id, "swallowed", short(error))
            case _:
                await self.several(id, op)

    async def several(self, id, op):
        match op:
            case ["gather", collect, blocks]:
                coros = [self.block(f"{id}#{j}", ops) for j, ops in enumerate(blocks)]
                results = await asyncio.gather(*coros, return_exceptions=collect)
                self.say(id, [short(it).split(":")[0] for it in results])
            case ["gathert", collect, indices]:
                tasks = [self.tasks[i] for i in indices]
                results = await asyncio.gather(*tasks, return_exceptions=collect)
                self.say(id, [short(it).split(":")[0] for it in results])
            case ["wait", how, delay, blocks]:
                await self.wait(id, how, delay, self.children(id, blocks))
            case ["waitt", how, delay, indices]:
                await self.wait(id, how, delay, [self.tasks[i] for i in indices])
            case ["ascomp", plain, delay, blocks]:
                tasks = self.children(id, blocks)
                if plain:
                    await self.turns(id, delay, tasks)
                else:
                    async for task in asyncio.as_completed(tasks, timeout=delay):
                        self.say(id, tasks.index(task), outcome(task))
            case _:
                raise TypeError(f"Unknown step: {op[0]}")

    async def deadline(self, id, scope, ops):
        self.timeouts[id] = scope
        try:
            async with scope:
                await self.block(id, ops)
        finally:
            self.say(id, "expired", scope.expired(), scope.when())

    def children(self, id, blocks):
        return [
            asyncio.create_task(self.block(f"{id}#{j}", ops))
            for j, ops in enumerate(blocks)
        ]

    async def wait(self, id, how, delay, tasks):
        done, pending = await asyncio.wait(tasks, timeout=delay, return_when=how)
        self.say(
            id,
            *(outcome(task) for task in tasks if task in done),
            "/",
            *(i for i, task in enumerate(tasks) if task in pending),
        )

    async def turns(self, id, delay, tasks):
        for turn in asyncio.as_completed(tasks, timeout=delay):
            try:
                self.say(id, await turn)
            except Exception as error:
                self.say(id, "bad", short(error))


def trace(program):
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    interpreter = Interpreter(program, loop)
    try:
        return loop.run_until_complete(interpreter.main())
    finally:
        asyncio.set_event_loop(None)


def main():
    asyncio.base_events.logger.disabled = True
    warnings.simplefilter("ignore")  # coroutines that never start
    sys.unraisablehook = lambda unraisable: None
    for line in sys.stdin:
        print(json.dumps(trace(json.loads(line))), flush=True)


main()
