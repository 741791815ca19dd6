"""What is to survive what: for whatever is written down, a registry's journal or a log."""

import enum


class Durability(enum.StrEnum):
    """What the things that are written down survive."""

    PROCESS = "process"
    """The end of the process, however it comes: a crash, `kill -9`. When the power fails, those of
    about the last second may be lost. A registry's numbering then jumps ahead, so that no event
    ever has the number of one that was lost."""
    POWER = "power"
    """A power cut as well: each waits for the disk."""
