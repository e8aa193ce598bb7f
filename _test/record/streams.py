"""Runs random sequences of feeding and reading on CPython's StreamReader.

Reads one program a line from stdin, as JSON, and writes what its reads gave as
one line of JSON. `replay()` of `_test/streams_traces_test.ts` does the same.
"""

import asyncio
import json
import sys


async def turns():
    for _ in range(4):
        await asyncio.sleep(0)


def quoted(data):
    return "'" + data.decode().replace("\n", "\\n") + "'"


def outcome(task):
    if task.cancelled():
        return "CancelledError"
    match task.exception():
        case None:
            return quoted(task.result())
        case asyncio.IncompleteReadError() as error:
            return f"IncompleteReadError {json.dumps(error.expected)} {quoted(error.partial)}"
        case asyncio.LimitOverrunError() as error:
            found = "not" if "not found" in str(error) else "is"
            return f"LimitOverrunError {error.consumed} {found} found"
        case RuntimeError():
            return "RuntimeError"
        case ValueError():
            return "RangeError"
        case _:
            return "set"


def read_of(reader, op):
    match op:
        case ["line"]:
            return reader.readline()
        case ["read", n]:
            return reader.read(n)
        case ["exact", n]:
            return reader.readexactly(n)
        case ["until", str(separator)]:
            return reader.readuntil(separator.encode())
        case ["until", separators]:
            return reader.readuntil(tuple(it.encode() for it in separators))
        case ["all"] | ["rest"]:
            return reader.read()


def apply(reader, op, log, step):
    match op:
        case ["feed", data]:
            reader.feed_data(data.encode())
        case ["eof"]:
            reader.feed_eof()
        case ["error"]:
            reader.set_exception(Exception("set"))
        case ["ateof"]:
            log.append(f"{step}: {json.dumps(reader.at_eof())}")


async def replay(limit, ops):
    reader = asyncio.StreamReader(limit)
    log = []
    pending = None
    for step, op in enumerate(ops, 1):
        read = read_of(reader, op)
        if read is None:
            apply(reader, op, log, step)
        if op[0] == "cancel" and pending and not pending[1]:
            pending[2].cancel()
        if read is not None:
            task = asyncio.create_task(read)
            await turns()
            if pending is None:
                pending = (step, op[0] in ("all", "rest"), task)
            else:
                log.append(f"{step}: {outcome(task)}")
        await turns()
        if pending and pending[2].done():
            log.append(f"{pending[0]}: {outcome(pending[2])}")
            pending = None
    return log


for line in sys.stdin:
    print(json.dumps(asyncio.run(replay(**json.loads(line)))), flush=True)
