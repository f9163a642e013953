"""The operations of programs: one list for parsers, printers, grammars, executors, report and self-test.

A new operation needs an entry here and a row in ``docs/programs.md``; ``strict.py`` and ``strict_kernels.py`` need a step for
it only if it edits something that no operation edits yet. A new name for an operation or argument only needs an entry here.
Each belongs to a version of the rules (``execution.semantics``): the language of an older version never changes.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["line", "index", "string"]
Edits = Literal["lines", "strings", "inserts", "document", "nothing"]
Field = Literal["line_start", "line_end", "index", "source", "target"]
Source = Literal["ProX", "released ProX models", "RefineX", "UltraX", "this project", "outputs of models"]
"""Where a name comes from. ProX is arXiv 2409.17115 (table 1), RefineX arXiv 2507.03253 (programs that only delete), UltraX
arXiv 2607.08646."""

NEWEST: Final = 3
"""The newest version of the rules. Tables by version start with an unused entry, 0."""
MAX_INDEX = 9999
"""Maximum ``index``; lines that are inserted at the same place are ordered by ``index``, from 0."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an operation, at its position.

    ``names``: all accepted names; the first is printed. ``also``: names accepted since version 2 of the rules. ``released``:
    the released models' name, if it differs. ``sets``: the fields of ``Call`` for its value. Optional arguments must come
    after required ones.
    """

    kind: Kind
    sets: tuple[Field, ...]
    names: tuple[str, ...]
    also: tuple[str, ...] = ()
    released: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """An accepted function name, its operation, and its arguments."""

    operation: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that a call performs.

    ``name``: its name in tables, logs and the report. ``code``: its number in compiled code and in ``log_hash``, so it never
    changes. ``spellings``: accepted function names, and their sources; the first is printed. ``flag``: a function and an
    argument that together mean the same, such as ``remove_lines(all=True)`` in ProX's executor and its released models.
    ``also``: function names accepted since version 2 of the rules, their sources, and their arguments.

    ``edits``: ``lines`` removes the lines of its range, ``strings`` replaces ``source`` by ``target`` in these lines,
    ``inserts`` puts the line ``target`` after its line, ``document`` drops the document. The range is the chunk where no
    argument is a line. ``unique``: since version 2 it edits only where ``source`` occurs once; since version 3 either string may
    end with the line's newline, as UltraX's models write it.
    """

    name: str
    code: int
    edits: Edits
    spellings: tuple[tuple[str, Source], ...] = ()
    arguments: tuple[Argument, ...] = ()
    flag: tuple[str, str] | None = None
    also: tuple[tuple[str, Source, tuple[Argument, ...]], ...] = ()
    unique: bool = False

    @property
    def function(self) -> str:
        """The function name that is printed."""
        return self.spellings[0][0] if self.spellings else self.also[0][0]

    @property
    def has_lines(self) -> bool:
        """Whether its arguments say which lines it is about."""
        return any(argument.kind == "line" for argument in self.arguments)

    @property
    def released(self) -> str:
        """The function name that the released models write."""
        return next((name for name, source in self.spellings if source == "released ProX models"), self.function)


_FIRST_NAMES = ("start_line", "start_idx", "from_line", "from")
_LAST_NAMES = ("end_line", "end_idx", "to_line", "to")
_LINE = Argument("line", ("line_start", "line_end"), ("line",), also=("line_number", "line_idx"))
_ADDED = (
    Argument("line", ("line_start", "line_end"), ("base_position",), also=("line",)),
    Argument("index", ("index",), ("sub_index",)),
    Argument("string", ("target",), ("content",)),
)
_ONE_LINE = (
    Argument("line", ("line_start", "line_end"), ("line", "line_start", "start"), also=_FIRST_NAMES),
    Argument("line", ("line_end",), ("line_end", "end"), also=_LAST_NAMES, optional=True),
)

OPERATIONS = (
    Operation(
        name="remove_lines",
        code=1,
        edits="lines",
        spellings=(("remove_lines", "ProX"),),
        arguments=(
            Argument("line", ("line_start",), ("line_start", "start"), also=_FIRST_NAMES, released="start"),
            Argument("line", ("line_end",), ("line_end", "end"), also=_LAST_NAMES, released="end"),
        ),
        also=(("remove_line", "outputs of models", _ONE_LINE),),
    ),
    Operation(
        name="remove_all",
        code=2,
        edits="lines",
        spellings=(("remove_all", "RefineX"),),
        flag=("remove_lines", "all"),
    ),
    Operation(
        name="normalize",
        code=3,
        edits="strings",
        spellings=(("normalize", "ProX"),),
        arguments=(
            Argument("string", ("source",), ("source_str", "source"), also=("old", "from", "old_str")),
            Argument("string", ("target",), ("target_str", "target"), also=("new", "to", "new_str"), optional=True),
        ),
    ),
    Operation(
        name="remove_str",
        code=4,
        edits="strings",
        spellings=(("remove_str", "RefineX"),),
        arguments=(_LINE, Argument("string", ("source",), ("source_str", "source", "s"), also=("old", "old_str"))),
    ),
    Operation(
        name="replace_str",
        code=5,
        edits="strings",
        spellings=(("replace_str", "this project"),),
        arguments=(
            _LINE,
            Argument("string", ("source",), ("source_str", "source", "old"), also=("from", "old_str")),
            Argument("string", ("target",), ("target_str", "target", "new"), also=("to", "new_str")),
        ),
        unique=True,
    ),
    Operation(
        name="keep_chunk",
        code=6,
        edits="nothing",
        spellings=(("keep_chunk", "ProX"), ("untouch_doc", "released ProX models"), ("keep_all", "RefineX")),
    ),
    Operation(name="keep_doc", code=7, edits="nothing", spellings=(("keep_doc", "ProX"),)),
    Operation(name="drop_doc", code=8, edits="document", spellings=(("drop_doc", "ProX"),)),
    Operation(name="add_line", code=9, edits="inserts", arguments=_ADDED, also=(("add_line", "UltraX", _ADDED),)),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}
NAMES = ("unknown", *(operation.name for operation in sorted(OPERATIONS, key=lambda operation: operation.code)))
"""Names by code; 0 is for functions that the parser does not know."""
SPELLINGS = {spelling: operation.name for operation in OPERATIONS for spelling, _ in operation.spellings}
"""Every function name that version 1 of the rules reads, and the operation it stands for."""
FORMS = {
    **{name: Form(operation.name, operation.arguments) for operation in OPERATIONS for name, _ in operation.spellings},
    **{name: Form(operation.name, taken) for operation in OPERATIONS for name, _, taken in operation.also},
}
"""Every accepted function name, those of ``SPELLINGS`` first."""
FLAGS = {operation.flag: operation.name for operation in OPERATIONS if operation.flag}
"""Functions and arguments whose ``True`` means another operation."""
MAX_ARGUMENTS = max(len(form.arguments) for form in FORMS.values())


EDITING = frozenset(operation.name for operation in OPERATIONS if operation.edits not in ("nothing", "document"))
"""Operations that change text."""


def names_of(*edits: Edits) -> frozenset[str]:
    """Names of the operations that edit one of these.

    >>> sorted(names_of("lines"))
    ['remove_all', 'remove_lines']
    """
    return frozenset(operation.name for operation in OPERATIONS if operation.edits in edits)
