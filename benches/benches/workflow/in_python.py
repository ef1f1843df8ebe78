"""Graphs through asyncio and through Dask's threads: reads which of them and who needs whom, writes the seconds they took."""

import asyncio
import json
import sys
import time

from dask.threaded import get


def value(inputs):
    return (sum(inputs) + 1) & 0xFFFF


def by_asyncio(needs):
    async def run():
        tasks = []

        async def one(at):
            return value([await tasks[need] for need in needs[at]])

        for at in range(len(needs)):
            tasks.append(asyncio.create_task(one(at)))
        return await asyncio.gather(*tasks)

    return asyncio.run(run())


def by_dask(needs):
    graph = {f"task-{at}": (value, [f"task-{need}" for need in of]) for at, of in enumerate(needs)}
    return get(graph, list(graph), num_workers=2)


if __name__ == "__main__":
    for line in sys.stdin:
        name, needs = line.split(" ", 1)
        needs = json.loads(needs)
        start = time.perf_counter()
        values = {"asyncio": by_asyncio, "dask": by_dask}[name](needs)
        seconds = time.perf_counter() - start
        assert len(values) == len(needs)
        print(seconds, flush=True)
