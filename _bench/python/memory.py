"""What a sleeping task takes in memory."""

import asyncio
import gc
import resource


async def resident(n):
    await asyncio.sleep(0)
    before = settled()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(n)]
    await asyncio.sleep(0.05)
    size = settled() - before
    for task in tasks:
        task.cancel()
    return size / n


def settled():
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
