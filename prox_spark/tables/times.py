"""Times as Spark gives them; no Spark needed."""

from datetime import UTC, datetime


def utc(moment: datetime) -> datetime:
    """A time that ``collect`` gave: it says the hour of this process's time zone, and not which."""
    return moment.astimezone(UTC)
