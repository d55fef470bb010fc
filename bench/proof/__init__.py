"""One model or not: the proof that the backends compute the same.

``cases`` says what climbs, ``ladder`` observes what a backend does, ``judging`` compares what was observed, ``verify``
has it all done, ``known`` keeps what was proved on this machine.
"""
