"""One module per DVC stage. Each is run as ``python -m ladd.stages.NAME KEY`` in the folder of a suite."""
