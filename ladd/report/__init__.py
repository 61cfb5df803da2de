"""What people read at the end: the summary table, the figures and one self-contained HTML page.

Everything here starts from the tidy ``compare`` table, one row per measurement, and measures nothing itself.
Throughout, ``compare`` is that table, ``summary`` what `summarise` makes of it, ``x`` a key of COSTS, and ``path`` the
file that is written.
"""
