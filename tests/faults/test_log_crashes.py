"""What loggers write is the event stream, exactly, though they and their registry are killed.

The long version is `make log-crashes`.
"""

import random

from .log_crashes import crash

KILLS = 6
LONGEST = 0.3


def test_the_files_of_loggers_that_are_killed_are_the_event_stream() -> None:
    counts = crash(random.randrange(1_000_000), kills=KILLS, loggers=2, longest=LONGEST)
    assert counts["events"] > 100
    assert counts["logger killed"]
