"""Samplers, one file each, found by name (`ladd.registry`); `ladd.samplers.base` says what one is.

Times run from 1 to 0; the last step reveals all that is left, so there is no clean-up pass. Every sample counts the
network passes that were really made for it: a step that needs no prediction in a sample needs no pass.
"""
