"""Timers: sleeping, and deadlines that are not needed."""

import asyncio


async def sleeps(n):
    tasks = [
        asyncio.create_task(asyncio.sleep(0.01 + i % 101 / 1000)) for i in range(n)
    ]
    for task in tasks:
        await task


async def waits(n):
    for _ in range(n):
        await asyncio.wait_for(asyncio.sleep(0), 60)


async def timeouts(n):
    for _ in range(n):
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
