"""After every test no engine may be left behind."""

from process_fixtures import no_orphans

__all__ = ["no_orphans"]
