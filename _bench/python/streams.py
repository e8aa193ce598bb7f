"""Streams: servers of asyncio, driven by the same client as the others."""

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path

CLIENT = Path(__file__).parent.parent / "scripts" / "client.ts"
ALLOWED = ["--allow-net", "--allow-read", "--allow-write"]
CHUNK = 65_536
MIB = 2**20


class Client:
    """The process that plays all clients, kept from round to round."""

    child = None

    @classmethod
    async def order(cls, command):
        if cls.child is None:
            cls.child = subprocess.Popen(
                [os.environ["DENO"], "run", *ALLOWED, "--quiet", str(CLIENT)],
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


async def driven_unix(handler, verb, *numbers):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        server = await asyncio.start_unix_server(handler, path)
        await Client.order(" ".join(map(str, (verb, path, *numbers))))
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


async def echo_tcp_1_1(n):
    await driven(echo, "echo", 1, n, 1)


async def echo_tcp_100_1(n):
    await driven(echo, "echo", 100, n, 1)


async def echo_tcp_1_16(n):
    await driven(echo, "echo", 1, n, 16)


async def echo_unix_1_1(n):
    await driven_unix(echo, "echo", 1, n, 1)


async def echo_unix_100_1(n):
    await driven_unix(echo, "echo", 100, n, 1)


async def sink(n):
    await driven(swallow, "flood", n * MIB)


async def lines(n):
    await driven(split, "lines", n)
