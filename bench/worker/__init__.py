"""The worker: one fresh process for one trial, started as ``python -m bench.worker``, and the clock inside it.

``process`` is the parent's end (``WorkerProcess``), ``__main__`` answers its commands, ``session`` is a trial inside
the worker. ``clock`` times, ``counters`` reads what the machine did meanwhile, ``products`` measures the hardware's
limits.
"""
