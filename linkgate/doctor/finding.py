"""One thing that was looked at, and how it is."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it is: as it should be, worth a thought, or in the way."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`area` is the part looked at; `mend` says what to do, and is empty if there is nothing."""

    area: str
    level: Level
    message: str
    mend: str = ""
