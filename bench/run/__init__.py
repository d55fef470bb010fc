"""A suite's trials, from the plan to the record on the disk.

``runner.run`` goes through what is left of a suite, ``trial.run_trial`` turns one trial into one record, ``limits``
measures what the hardware could do at best.
"""
