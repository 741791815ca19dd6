"""Bytes that nobody has thought of: fuzzing with coverage guidance, and raw TCP on live sockets.

`targets` is what is fuzzed, `engine` how; `wire` attacks a registry that runs. `make fuzz` goes on
for as long as one likes, and the suite for seconds. What is found becomes a file in `findings`,
which is replayed from then on.
"""
