# SPDX-License-Identifier: MIT OR Apache-2.0
"""Events of /dev/evq, in pure Python.

    import evq

    with evq.Queue("/dev/evq") as queue:
        for event in queue:
            print(event.seq, event.lost, event.data)

In a program of asyncio, `async for event in queue` waits without a thread, by
the file descriptor. Each open queue is a subscriber: what it did not read in
time is counted in `lost` of the next event.
"""

import asyncio
import errno
import fcntl
import os
import select
import struct
from typing import AsyncIterator, Iterable, Iterator, List, NamedTuple, Optional

DEFAULT_PATH = "/dev/evq"
DATA_MAX = 32
#: Set in `Event.source` if kernel code has posted the event.
SOURCE_KERNEL = 0x80000000

_EVENT = struct.Struct("=QQIHHIHH32s")
_INFO = struct.Struct("=II7QII4Q3Q")
_SEEK = struct.Struct("=IIQ")
_MAGIC = 0xE7
_BATCH = 64


def _ioc(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | _MAGIC << 8 | number


IOC_INFO = _ioc(2, 0, _INFO.size)
IOC_SEEK = _ioc(3, 1, _SEEK.size)

NEWEST = 0
OLDEST = 1
_SEQ = 2


class Event(NamedTuple):
    """An event. For `Queue.post`, only type, code and data matter."""

    type: int
    code: int
    data: bytes = b""
    seq: int = 0
    time_ns: int = 0
    source: int = 0
    #: Events that this subscriber has missed just before this one.
    lost: int = 0

    @property
    def is_from_kernel(self) -> bool:
        """Whether kernel code has posted it; else `source` is a process id."""
        return bool(self.source & SOURCE_KERNEL)


class Info(NamedTuple):
    """The state of a queue and of this subscriber, as evq(4) describes it."""

    abi: int
    capacity: int
    posted: int
    oldest: int
    next: int
    delivered: int
    lost: int
    overwritten: int
    refused: int
    subscribers: int
    flags: int
    instance: int
    wakeups: int
    signals: int
    skipped: int


class Queue:
    """An open queue: one subscriber of it."""

    def __init__(self, path: str = DEFAULT_PATH, *, read: bool = True, write: bool = False):
        if not read and not write:
            raise ValueError("a queue is opened for reading, for writing or for both")
        mode = os.O_RDWR if read and write else os.O_WRONLY if write else os.O_RDONLY
        self._fd = os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """The file descriptor, for select and the like."""
        return self._fd

    def close(self) -> None:
        """Closes the queue; more than once does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> "Queue":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, most: int = _BATCH) -> Optional[List[Event]]:
        """Up to `most` events; none if there are none now. `None`: there will be
        no more, for the queue was retired."""
        if most < 1:
            raise ValueError("at least one event has to be asked for")
        try:
            data = os.read(self._fd, most * _EVENT.size)
        except BlockingIOError:
            return []
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        if not data:
            return None
        return [self._event(record) for record in _EVENT.iter_unpack(data)]

    @staticmethod
    def _event(record: tuple) -> Event:
        seq, time_ns, source, type_, code, lost, length, _, data = record
        return Event(type_, code, data[:length], seq, time_ns, source, lost)

    def post(self, *events: Event) -> int:
        """Posts events, up to 64 of them together; gives how many were posted."""
        records = []
        for event in events:
            if len(event.data) > DATA_MAX:
                raise ValueError(f"a payload has up to {DATA_MAX} bytes, not {len(event.data)}")
            length = len(event.data)
            records.append(
                _EVENT.pack(0, 0, 0, event.type, event.code, 0, length, 0, event.data)
            )
        return os.write(self._fd, b"".join(records)) // _EVENT.size if records else 0

    def info(self) -> Info:
        """The counters of the queue and of this subscriber."""
        buffer = bytearray(_INFO.size)
        fcntl.ioctl(self._fd, IOC_INFO, buffer)
        return Info(*_INFO.unpack(buffer)[: len(Info._fields)])

    def _seek(self, whence: int, seq: int = 0) -> int:
        buffer = bytearray(_SEEK.pack(whence, 0, seq))
        fcntl.ioctl(self._fd, IOC_SEEK, buffer)
        return _SEEK.unpack(buffer)[2]

    def seek_oldest(self) -> int:
        """Goes to the oldest event that is kept; gives the next number."""
        return self._seek(OLDEST)

    def seek_newest(self) -> int:
        """Goes behind the newest event; gives the next number."""
        return self._seek(NEWEST)

    def seek(self, seq: int) -> int:
        """Goes to an event, or to the oldest one after it that is kept."""
        return self._seek(_SEQ, seq)

    def __iter__(self) -> Iterator[Event]:
        """Events as they come; ends when the queue is retired."""
        while True:
            events = self.read()
            if events is None:
                return
            if not events:
                select.select([self._fd], [], [])
            yield from events

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The same for asyncio: other tasks run while it waits."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._fd, readable.set)
        try:
            while True:
                # Before the read: what comes after it sets this again.
                readable.clear()
                events = self.read()
                if events is None:
                    return
                if not events:
                    await readable.wait()
                for event in events:
                    yield event
        finally:
            loop.remove_reader(self._fd)


def post(events: Iterable[Event], path: str = DEFAULT_PATH) -> int:
    """Posts events to a queue that is opened for this alone."""
    with Queue(path, read=False, write=True) as queue:
        return queue.post(*events)
