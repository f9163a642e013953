"""The result of a check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One check. ``advice`` says what to do; it is empty if there is nothing to do."""

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""
