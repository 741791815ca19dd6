"""`python -m devicewatch.registry` is the `devicewatch` command."""

from .cli import main

main()
