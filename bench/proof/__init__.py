"""One model or not: the proof that the backends compute the same.

``cases`` says what climbs, ``ladder`` observes what a backend does, ``verify`` judges what was observed, ``known``
keeps what was proved on this machine.
"""
