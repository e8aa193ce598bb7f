"""The process of the Python side: does one round of a workload for each line
on the standard input, and answers with what it took.

Arguments: a file beside this one, a function in it, the size, and the event
loop ("asyncio" or "uvloop"). An async function runs on a fresh loop for each
round; a plain one is called. A number that it returns is the figure of the
round instead of the time.
"""

import asyncio
import importlib
import inspect
import json
import sys
import time


def main(file: str, name: str, size: str, loop: str) -> None:
    function = getattr(importlib.import_module(file.removesuffix(".py")), name)
    if loop == "uvloop":
        import uvloop

        run = uvloop.run
    else:
        run = asyncio.run
    for _ in sys.stdin:
        print("\x01" + json.dumps(measured(function, int(size), run)), flush=True)


def measured(function, size: int, run) -> dict:
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        own = function(size)
        if inspect.iscoroutine(own):
            own = run(own)
    except Exception as error:
        return {"wall": 0, "cpu": 0, "error": repr(error)}
    wall = time.perf_counter() - wall
    cpu = time.process_time() - cpu
    number = isinstance(own, (int, float)) and not isinstance(own, bool)
    return {"wall": wall, "cpu": cpu, "own": own if number else None}


main(*sys.argv[1:])
