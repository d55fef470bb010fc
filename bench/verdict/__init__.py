"""Two sides of a comparison, and what can be claimed of them.

``sides`` finds out what is compared, ``duet`` steps two live workers in turn, ``campaign`` plays duets until there
are verdicts; ``pairing`` says what one pair of records tells, ``comparison`` joins pairs, ``rules`` gives verdicts by
the ``statistics``; ``calibration`` measures how often all this errs.
"""
