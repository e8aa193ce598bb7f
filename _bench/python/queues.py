"""Queues: items handed from producers to consumers."""

import asyncio


async def produce(queue, n):
    for i in range(n):
        await queue.put(i)


async def consume(queue, n):
    total = 0
    for _ in range(n):
        total += await queue.get()
    return total


async def handed(n, maxsize, pairs):
    queue = asyncio.Queue(maxsize)
    each = n // pairs
    producers, consumers = [], []
    for _ in range(pairs):
        producers.append(asyncio.create_task(produce(queue, each)))
        consumers.append(asyncio.create_task(consume(queue, each)))
    totals = await asyncio.gather(*consumers)
    assert sum(totals) == pairs * sum(range(each))


async def unbounded(n):
    await handed(n, 0, 1)


async def single(n):
    await handed(n, 1, 1)


async def many(n):
    await handed(n, 100, 10)


async def priorities(n):
    queue = asyncio.PriorityQueue()
    for i in range(n):
        await queue.put(scattered(i))
    last = -1
    for _ in range(n):
        item = await queue.get()
        assert item >= last
        last = item


async def pairs(n):
    queue = asyncio.PriorityQueue()
    for i in range(n):
        await queue.put((scattered(i), i))
    last = -1
    for _ in range(n):
        item = await queue.get()
        assert item[0] >= last
        last = item[0]


def scattered(i):
    return (i * 0x9E3779B1 & 0xFFFFFFFF) >> 8
