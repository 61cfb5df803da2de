"""What people read at the end: the summary table, the figures and one self-contained HTML page.

Everything here starts from the tidy ``compare`` table, one row per measurement, and measures nothing itself.
"""
