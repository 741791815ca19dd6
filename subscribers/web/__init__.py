"""A web page that shows a registry's devices, live, and what it reads: JSON, server-sent events.

It is a subscriber like any other (see `feed`), and needs the extra `devicewatch[web]`.
"""
