"""Child processes: starting them, and bytes through their pipes."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE

MIB = 2**20
CHUNK = 65_536


async def start():
    child = await asyncio.create_subprocess_exec("/bin/true", stdin=DEVNULL)
    await child.wait()


async def one_by_one(n):
    for _ in range(n):
        await start()


async def sixteen(n):
    left = iter(range(n))

    async def worker():
        for _ in left:
            await start()

    await asyncio.gather(*(worker() for _ in range(16)))


async def streamed(n):
    cat = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    chunk = bytes(CHUNK)

    async def feed():
        for _ in range(n * MIB // CHUNK):
            cat.stdin.write(chunk)
            await cat.stdin.drain()
        cat.stdin.close()

    async def count():
        total = 0
        while data := await cat.stdout.read(CHUNK):
            total += len(data)
        return total

    total, _, _ = await asyncio.gather(count(), feed(), cat.wait())
    assert total == n * MIB


async def collected(n):
    cat = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    output, _ = await cat.communicate(bytes(n * MIB))
    assert len(output) == n * MIB
