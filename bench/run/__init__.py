"""A suite's trials, from the plan to the record on the disk.

``runner.run`` keeps a record of each trial that is left of a suite; an ``executor.Executor`` runs them, on this machine
``side_by_side``. ``trial.Series`` turns trials into records, one after the other in one process; ``lines`` says which
of them share one, and ``crews`` trains some together in lanes. ``limits`` measures what the hardware could do at best.
"""
