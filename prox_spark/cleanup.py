"""Clean-up after a block, however it ends, without hiding the block's error."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


@contextmanager
def afterwards(step: Callable[[], object]) -> Iterator[None]:
    """Run ``step`` after the block. If both raise, the block's error is raised and the step's is logged.

    >>> with afterwards(lambda: print("tidied")):
    ...     print("done")
    done
    tidied
    """
    try:
        yield
    except BaseException:
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- what failed before it is the reason, and is raised
            _log.warning("could not tidy up after an error: %s: %s", type(error).__name__, error)
        raise
    step()
