"""Threads: the way there and back, and calls from a thread to the loop."""

import asyncio


def add(a, b):
    return a + b


async def round_trips(n):
    total = 0
    for _ in range(n):
        total = await asyncio.to_thread(add, total, 1)
    assert total == n


async def asks(n):
    loop = asyncio.get_running_loop()

    async def add_later(a, b):
        return a + b

    def ask_often():
        total = 0
        for _ in range(n):
            coro = add_later(total, 1)
            total = asyncio.run_coroutine_threadsafe(coro, loop).result()
        return total

    assert await asyncio.to_thread(ask_often) == n
