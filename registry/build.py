"""How this package was built; see `setup.py`."""

from typing import Final

from . import core

COMPILED: Final = not str(core.__file__).endswith(".py")
"""Whether its innermost modules are machine code, instead of what can be read here."""
