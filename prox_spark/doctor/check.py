"""What a check answers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``advice`` says what to do, and is empty where nothing needs doing."""

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""
