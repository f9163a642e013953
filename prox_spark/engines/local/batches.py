"""Requests by the batch, for engines that answer in the task itself and many at a time."""

from collections.abc import Iterator

from prox_spark.engines.protocol import Request

_REQUESTS = 256
_CHARACTERS = 1 << 20
"""Pulled before the first is answered: enough for the kernels to be called seldom, and no burden on a task's memory."""


def batches(requests: Iterator[Request]) -> Iterator[list[Request]]:
    """The requests in their order, a bounded number and amount of text at a time."""
    batch: list[Request] = []
    size = 0
    for request in requests:
        batch.append(request)
        size += len(request.text)
        if len(batch) >= _REQUESTS or size >= _CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
