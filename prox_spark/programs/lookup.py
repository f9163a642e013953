"""The list of operations as the arrays that compiled code looks things up in; built from ``operations.py`` at import."""

from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers
from prox_spark.programs.operations import BY_NAME, FLAGS, MAX_ARGUMENTS, NAMES, OPERATIONS, SPELLINGS, Edits

OPERATION, OUTCOME, LINE_START, LINE_END, SOURCE, SOURCE_END, TARGET, TARGET_END = range(8)
"""Columns of the table of calls. Sources and targets are ranges of the strings' bytes; -1 is none."""
REMOVE_LINES, REMOVE_ALL, NORMALIZE = (BY_NAME[name].code for name in ("remove_lines", "remove_all", "normalize"))


def _table(words: tuple[str, ...]) -> tuple[Bytes, Integers]:
    """Words as bytes one after the other, and where each starts."""
    ends = np.cumsum([0, *map(len, words)]).astype(np.int64)
    return np.frombuffer("".join(words).encode(), np.uint8).copy(), ends


def edits_of(*edits: Edits) -> Any:
    """By code of an operation, whether it edits one of these."""
    return np.array([name in BY_NAME and BY_NAME[name].edits in edits for name in NAMES], np.bool_)


HAS_LINES = np.array([name in BY_NAME and BY_NAME[name].has_lines for name in NAMES], np.bool_)
"""By code of an operation, whether its arguments say which lines it is about."""
# Each table of words has their bytes, and where each word starts.
FUNCTIONS, FUNCTION_AT = _table(tuple(SPELLINGS))
FUNCTION_OPERATION = np.array([BY_NAME[name].code for name in SPELLINGS.values()], np.int64)
LONGEST_FUNCTION = max(map(len, SPELLINGS))
_WORDS = tuple(
    dict.fromkeys(
        [name for operation in OPERATIONS for argument in operation.arguments for name in argument.names]
        + [name for _, name in FLAGS]
    )
)
KEYWORDS, KEYWORD_AT = _table(_WORDS)
IS_INTEGER, IS_STRING, IS_TRUE = range(3)
_COLUMN_OF = {"line_start": LINE_START, "line_end": LINE_END, "source": SOURCE, "target": TARGET}
SLOTS = np.full((len(NAMES), len(_WORDS)), -1, np.int64)
"""By operation and keyword the place of the argument; -1 where it takes none of this name."""
TYPES = np.full((len(NAMES), MAX_ARGUMENTS), -1, np.int64)
"""By operation and place what the argument must be; -1 where it takes none."""
COLUMNS = np.full((len(NAMES), MAX_ARGUMENTS, 2), -1, np.int64)
"""By operation and place the first and the last column that the argument's value goes to."""
NEEDED = np.zeros(len(NAMES), np.int64)
"""By operation a bit for each argument that must be given."""
FLAGGED = np.zeros((len(NAMES), len(_WORDS)), np.int64)
"""By operation and keyword which operation a single ``keyword=True`` makes of it; 0 for none."""
for _operation in OPERATIONS:
    for _slot, _argument in enumerate(_operation.arguments):
        SLOTS[_operation.code, [_WORDS.index(name) for name in _argument.names]] = _slot
        TYPES[_operation.code, _slot] = IS_INTEGER if _argument.kind == "line" else IS_STRING
        COLUMNS[_operation.code, _slot] = _COLUMN_OF[_argument.sets[0]], _COLUMN_OF[_argument.sets[-1]]
        NEEDED[_operation.code] |= (not _argument.optional) << _slot
for (_function, _keyword), _name in FLAGS.items():
    FLAGGED[BY_NAME[_function].code, _WORDS.index(_keyword)] = BY_NAME[_name].code
TRUE_WORDS, TRUE_AT = _table(("True", "true"))
