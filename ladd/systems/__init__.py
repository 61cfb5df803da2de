"""Systems, one file each, found by name (`ladd.registry`); `ladd.systems.base` says what one is."""
