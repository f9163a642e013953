"""The list of operations as lookup arrays for compiled code; built from ``operations.py`` at import."""

from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers
from prox_spark.programs.operations import BY_NAME, FLAGS, FORMS, MAX_ARGUMENTS, NAMES, NEWEST, SPELLINGS, Edits

OPERATION, OUTCOME, LINE_START, LINE_END, SOURCE, SOURCE_END, TARGET, TARGET_END, AT, INDEX = range(10)
"""Columns of the table of calls. Sources and targets are ranges of the strings' bytes; -1 is none. A call begins ``AT`` bytes
after its program does; ``INDEX`` orders lines that are inserted at the same place."""
N_COLUMNS = 10
REMOVE_LINES, REMOVE_ALL, NORMALIZE = (BY_NAME[name].code for name in ("remove_lines", "remove_all", "normalize"))


def table(words: tuple[str, ...]) -> tuple[Bytes, Integers]:
    """The concatenated bytes of the words, and where each starts."""
    encoded = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), ends


def edits_of(*edits: Edits) -> Any:
    """By code of an operation, whether it edits one of these."""
    return np.array([name in BY_NAME and BY_NAME[name].edits in edits for name in NAMES], np.bool_)


UNIQUE = np.array([name in BY_NAME and BY_NAME[name].unique for name in NAMES], np.bool_)
"""By code of an operation, whether it edits only strings that occur once, since version 2 of the rules."""
HAS_LINES = np.array([name in BY_NAME and BY_NAME[name].has_lines for name in NAMES], np.bool_)
"""By code of an operation, whether its arguments say which lines it is about."""
# Each table of words has the bytes, and where each word starts.
FUNCTIONS, FUNCTION_AT = table(tuple(FORMS))
N_FUNCTIONS = np.array([0, len(SPELLINGS), *[len(FORMS)] * (NEWEST - 1)], np.int64)
"""By version of the rules, the number of functions that it reads."""
LONGEST_FUNCTION = np.array([0, max(map(len, SPELLINGS)), *[max(map(len, FORMS))] * (NEWEST - 1)], np.int64)
FUNCTION_OPERATION = np.array([BY_NAME[form.operation].code for form in FORMS.values()], np.int64)
_WORDS = tuple(
    dict.fromkeys(
        [name for form in FORMS.values() for argument in form.arguments for name in (*argument.names, *argument.also)]
        + [name for _, name in FLAGS]
    )
)
KEYWORDS, KEYWORD_AT = table(_WORDS)
IS_INTEGER, IS_STRING, IS_TRUE = range(3)
_COLUMN_OF = {"line_start": LINE_START, "line_end": LINE_END, "index": INDEX, "source": SOURCE, "target": TARGET}
SLOTS = np.full((NEWEST + 1, len(FORMS), len(_WORDS)), -1, np.int64)
"""By version of the rules, function and keyword: the position of the argument; -1 if the function has none of this name."""
TYPES = np.full((len(FORMS), MAX_ARGUMENTS), -1, np.int64)
"""By function and position: the kind of the argument; -1 if there is none."""
COLUMNS = np.full((len(FORMS), MAX_ARGUMENTS, 2), -1, np.int64)
"""By function and position: the first and the last column for the argument's value."""
NEEDED = np.zeros(len(FORMS), np.int64)
"""By function: a bit for each required argument."""
FLAGGED = np.zeros((len(NAMES), len(_WORDS)), np.int64)
"""By operation and keyword: the operation that a single ``keyword=True`` turns it into; 0 for none."""
for _function, _form in enumerate(FORMS.values()):
    for _slot, _argument in enumerate(_form.arguments):
        SLOTS[1:, _function, [_WORDS.index(name) for name in _argument.names]] = _slot
        SLOTS[2:, _function, [_WORDS.index(name) for name in _argument.also]] = _slot
        TYPES[_function, _slot] = IS_STRING if _argument.kind == "string" else IS_INTEGER
        COLUMNS[_function, _slot] = _COLUMN_OF[_argument.sets[0]], _COLUMN_OF[_argument.sets[-1]]
        NEEDED[_function] |= (not _argument.optional) << _slot
for (_flagged, _keyword), _name in FLAGS.items():
    FLAGGED[BY_NAME[_flagged].code, _WORDS.index(_keyword)] = BY_NAME[_name].code
TRUE_WORDS, TRUE_AT = table(("True", "true"))
