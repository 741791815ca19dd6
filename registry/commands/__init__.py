"""The `devicewatch` command's parts: a file for each command, and what they share."""
