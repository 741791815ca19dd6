"""`devicewatch top`: a dashboard in a terminal (extra `devicewatch[tui]`).

What is shown is worked out by modules that know no terminal: `board` (who is there, who left),
`order` (sorted and filtered), `strip` (presence as a row of blocks), `columns` (the table's lines),
`words` (all other lines) and `chronicle` (the event log). `app` and the widgets beside it show that
with Textual.
"""
