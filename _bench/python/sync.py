"""Locks and other primitives: tasks that wait for each other."""

import asyncio


async def contended(n):
    lock = asyncio.Lock()

    async def body():
        for _ in range(n // 100):
            async with lock:
                await asyncio.sleep(0)

    await asyncio.gather(*[body() for _ in range(100)])


async def quick(n):
    lock = asyncio.Lock()

    async def body():
        for _ in range(n // 100):
            async with lock:
                pass

    await asyncio.gather(*[body() for _ in range(100)])


async def uncontended(n):
    lock = asyncio.Lock()
    for _ in range(n):
        await lock.acquire()
        lock.release()


async def in_block(n):
    lock = asyncio.Lock()
    for _ in range(n):
        async with lock:
            pass


async def semaphore(n):
    for _ in range(10):
        semaphore = asyncio.Semaphore(100)

        async def body():
            async with semaphore:
                await asyncio.sleep(0)

        await asyncio.gather(*[body() for _ in range(n // 10)])


async def event(n):
    events = [asyncio.Event() for _ in range(20)]

    async def body():
        for event in events:
            await event.wait()

    waiting = asyncio.gather(*[body() for _ in range(n // 20)])
    for event in events:
        await asyncio.sleep(0)
        event.set()
    await waiting


async def condition(n):
    condition = asyncio.Condition()
    turn = 0

    async def body(me):
        nonlocal turn
        for _ in range(n // 2):
            async with condition:
                while turn != me:
                    await condition.wait()
                turn = 1 - me
                condition.notify()

    await asyncio.gather(body(0), body(1))


async def barrier(n):
    for _ in range(10):
        barrier = asyncio.Barrier(50)

        async def body():
            for _ in range(n // 500):
                await barrier.wait()

        await asyncio.gather(*[body() for _ in range(50)])
