"""Bad input by hand: each of these once was, or could have been, taken for something else than it is.

Suites are in ``hand_suites``, what else somebody writes on a command line in ``hand_words``, rows and where they lie in
``hand_rows``, and what ``bench`` itself had kept, and somebody spoilt, in ``hand_kept``. ``hand_plugins`` is a kind by
itself: plug-ins stay in the process that they were installed in.
"""

from __future__ import annotations

from functools import cache

from campaign import hand_kept, hand_rows, hand_suites, hand_words
from campaign.cases import Case, Kind


def kind() -> Kind:
    found = cases()
    return Kind("bad input by hand", len(found), lambda number: found[number], ("pandas", "bench.keep.models"))


@cache
def cases() -> tuple[Case, ...]:
    return (*hand_suites.cases(), *hand_words.cases(), *hand_rows.cases(), *hand_kept.cases())
