#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Prints the events of a queue as they come, beside another task: tail.py [PATH]"""

import asyncio
import sys

import evq


async def print_events(path: str) -> int:
    count = 0
    with evq.Queue(path) as queue:
        async for event in queue:
            if event.lost:
                print(f"lost {event.lost} just before {event.seq}", flush=True)
            print(event.seq, event.type, event.code, event.data.hex(), flush=True)
            count += 1
    return count


async def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else evq.DEFAULT_PATH
    events = asyncio.create_task(print_events(path))
    await asyncio.sleep(0)
    print("another task runs meanwhile", flush=True)
    print(await events, "events")


asyncio.run(main())
