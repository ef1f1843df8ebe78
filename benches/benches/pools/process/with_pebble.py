"""Empty jobs through pebble: reads a number of jobs a line, writes the seconds they took."""

import sys
import time

from pebble import ProcessPool


def nothing(n):
    return n


if __name__ == "__main__":
    with ProcessPool(max_workers=int(sys.argv[1])) as pool:
        pool.schedule(nothing, args=[1]).result()
        for line in sys.stdin:
            start = time.perf_counter()
            jobs = [pool.schedule(nothing, args=[1]) for _ in range(int(line))]
            for job in jobs:
                assert job.result() == 1
            print(time.perf_counter() - start, flush=True)
