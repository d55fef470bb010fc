"""A suite's trials, from the plan to the record on the disk.

``runner.run`` keeps a record of each trial that is left of a suite; an ``executor.Executor`` runs them, on this machine
``side_by_side``. ``trial.run_trial`` turns one trial into one record, ``limits`` measures what the hardware could do at
best.
"""
