"""Tasks: creating them, and waiting for them one by one and all together."""

import asyncio
import sys


async def body(i):
    await asyncio.sleep(0)
    return i


async def tasks(n):
    tasks = [asyncio.create_task(body(i)) for i in range(n)]
    for task in tasks:
        await task


async def sequence(n):
    for i in range(n):
        await asyncio.create_task(body(i))


async def gathering(n):
    for _ in range(10):
        await asyncio.gather(*[body(i) for i in range(n // 10)])


async def groups(n):
    for _ in range(n // 100):
        async with asyncio.TaskGroup() as group:
            for i in range(100):
                group.create_task(body(i))


async def completions(n):
    total = 0
    for _ in range(10):
        bodies = [body(i) for i in range(n // 10)]
        if sys.version_info >= (3, 13):
            async for task in asyncio.as_completed(bodies):
                total += task.result()
        else:
            for turn in asyncio.as_completed(bodies):
                total += await turn
    assert total == 10 * sum(range(n // 10))
