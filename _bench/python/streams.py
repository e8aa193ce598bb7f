"""Streams: servers of asyncio, driven by the same client as the others."""

import asyncio
from pathlib import Path

CLIENT = Path(__file__).parent.parent / "scripts" / "client.ts"
CHUNK = 65_536
MIB = 2**20


class Client:
    """The process that plays all clients, kept from round to round."""

    child = None

    @classmethod
    async def order(cls, command):
        if cls.child is None:
            import subprocess

            cls.child = subprocess.Popen(
                ["deno", "run", "--allow-net", "--quiet", str(CLIENT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        cls.child.stdin.write(command.encode() + b"\n")
        cls.child.stdin.flush()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, cls.child.stdout.readline)


async def driven(handler, verb, *numbers):
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await Client.order(" ".join(map(str, (verb, port, *numbers))))
    server.close()


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def swallow(reader, writer):
    while await reader.read(CHUNK):
        pass
    writer.close()


async def split(reader, writer):
    while await reader.readline():
        pass
    writer.close()


async def one_echo(n):
    await driven(echo, "echo", 1, n)


async def hundred_echoes(n):
    await driven(echo, "echo", 100, n)


async def sink(n):
    await driven(swallow, "flood", n * MIB)


async def lines(n):
    await driven(split, "lines", n)
