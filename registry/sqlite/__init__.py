"""A journal in one file. Nobody outside this folder knows that it is a SQLite database.

`journal` keeps changes, `checkpoints` puts them on the disk, `file` knows what the file looks like
and what can be wrong with one, and `look` looks into one without changing it.
"""

from .journal import SqliteJournal
from .look import Summary, check, show

__all__ = ["SqliteJournal", "Summary", "check", "show"]
