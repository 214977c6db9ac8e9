"""Dynamic batching: pictures of concurrent requests go through the model together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.embedding.encoder import Encoder
from reseen.pictures import Pixels


class Pending(NamedTuple):
    """A picture at the model's size, and the future of its vector."""

    pixels: Pixels
    answer: asyncio.Future[NDArray[np.float32]]


class Batcher:
    """Queue in front of the model: runs it on whatever pictures have come while it was busy.

    No picture waits for others to come: one that finds the model idle goes at once. Under load the batches grow by
    themselves.

    Args:
        encoder: Runs in a thread of its own, one batch at a time.
        max_batch: Pictures of a batch at most.
        observe: Called with the size of every batch.
    """

    def __init__(self, encoder: Encoder, *, max_batch: int, observe: Callable[[int], object] = lambda _: None) -> None:
        self._encoder, self._max_batch, self._observe = encoder, max_batch, observe
        self._queue: asyncio.Queue[Pending | None] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; in a running event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Finish what has been taken, then end."""
        self._queue.put_nowait(None)
        if self._worker is not None:
            await self._worker
        self._thread.shutdown()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures it takes."""
        return self._encoder.size

    @property
    def num_waiting(self) -> int:
        """How many pictures wait."""
        return self._queue.qsize()

    async def encode(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the vector (D,) of a picture at the model's size."""
        answer: asyncio.Future[NDArray[np.float32]] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Pending(pixels, answer))
        return await answer

    async def _work(self) -> None:
        loop, ending = asyncio.get_running_loop(), False
        while not ending:
            batch = [await self._queue.get()]
            while len(batch) < self._max_batch and batch[-1] is not None and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            ending = batch[-1] is None
            waiting = [one for one in batch if one is not None and not one.answer.done()]  # done: the client has left
            if not waiting:
                continue
            self._observe(len(waiting))
            images = np.stack([one.pixels for one in waiting])
            try:
                vectors = await loop.run_in_executor(self._thread, self._encoder.encode, images)
            except Exception as error:
                for one in waiting:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                continue
            for one, vector in zip(waiting, vectors, strict=True):
                if not one.answer.done():
                    one.answer.set_result(vector)
