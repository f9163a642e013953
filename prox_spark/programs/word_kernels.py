"""Names in the bytes of programs, compiled: finds their ends, and looks up functions."""

from prox_spark.programs.bytes_kernels import Bytes, Integers, equal
from prox_spark.programs.compiled import inner
from prox_spark.programs.lookup import FUNCTION_AT, FUNCTIONS, LONGEST_FUNCTION, N_FUNCTIONS

_SPACE, _TAB, _OPEN, _UNDERSCORE = 32, 9, 40, 95


@inner
def is_digit(byte: int) -> bool:
    """Whether this is an ASCII digit."""
    return 48 <= byte <= 57


@inner
def after_blanks(data: Bytes, position: int, end: int) -> int:
    """Position after blanks and tabs."""
    while position < end and (data[position] == _SPACE or data[position] == _TAB):
        position += 1
    return position


@inner
def after_name(data: Bytes, position: int, end: int) -> int:
    """The end of the name at ``position``; ``position`` itself if there is none."""
    if position < end and is_digit(data[position]):
        return position
    while position < end:
        byte = data[position]
        if not (97 <= byte | 32 <= 122 or byte == _UNDERSCORE or is_digit(byte)):
            break
        position += 1
    return position


@inner
def index(data: Bytes, start: int, end: int, words: Bytes, at: Integers, n_words: int) -> int:
    """The index of the word among the first ``n_words`` of a table; -1 for none."""
    for word in range(n_words):
        length = at[word + 1] - at[word]
        if length == end - start and equal(data, start, words, at[word], length):
            return word
    return -1


@inner
def function(data: Bytes, start: int, end: int, semantics: int) -> int:
    """The function with this name; -1 if this version of the rules has none."""
    if end - start > LONGEST_FUNCTION[semantics]:
        return -1
    return index(data, start, end, FUNCTIONS, FUNCTION_AT, N_FUNCTIONS[semantics])


@inner
def starts_a_name(data: Bytes, start: int, end: int, semantics: int) -> bool:
    """Whether a function's name begins like this."""
    length = end - start
    for word in range(N_FUNCTIONS[semantics]):
        if FUNCTION_AT[word + 1] - FUNCTION_AT[word] >= length and equal(
            data, start, FUNCTIONS, FUNCTION_AT[word], length
        ):
            return True
    return False


@inner
def call_follows(data: Bytes, position: int, end: int, semantics: int) -> bool:
    """Whether a line that starts here starts with a known function and its bracket."""
    start = after_blanks(data, position, end)
    stop = after_name(data, start, end)
    if stop == start or function(data, start, stop, semantics) < 0:
        return False
    stop = after_blanks(data, stop, end)
    return stop < end and data[stop] == _OPEN
