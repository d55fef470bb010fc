"""Spaces: the swept keys of one detector on one data set and backend, and the scenario at any point of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.suites.blocks import Block, expand
from bench.suites.scenario import Scenario
from bench.suites.suite import Suite
from bench.suites.sweeps import Sweep, Values


@dataclass(frozen=True)
class Space:
    """What a search varies: ``base`` is the scenario without the sweep, ``keys`` the values that each key may have."""

    block: Block
    base: Scenario
    keys: Mapping[str, Values]

    @property
    def name(self) -> str:
        """Another one where anything that is searched, or the work itself, differs."""
        digest = hashlib.sha256(f"{self.base.hash} {Sweep(dict(self.keys))}".encode()).hexdigest()[:8]
        return f"{self.base.label} {digest}"

    def scenario(self, values: Mapping[str, Any]) -> Scenario:
        """The scenario with these values of the keys."""
        block = replace(self.block, sweep=Sweep({key: (value,) for key, value in values.items()}))
        return next(iter(expand(block, self.base.threads)))


def spaces(suite: Suite, threads: int) -> Iterator[Space]:
    """One for each scenario of the suite, its sweeps left out, whose detector has swept keys."""
    seen: set[str] = set()
    for block in suite.blocks:
        for base in expand(replace(block, sweep=Sweep()), threads):
            keys = block.sweep.of(base.detector)
            if keys and base.hash not in seen:
                seen.add(base.hash)
                yield Space(_narrowed(block, base), base, keys)


def _narrowed(block: Block, base: Scenario) -> Block:
    """The block with this scenario alone."""
    training = block.training
    if base.training is not None:
        training = replace(training, batch_size=base.training.batch_size)
    return replace(
        block,
        datasets=(base.dataset,),
        detectors=(base.detector,),
        backends=(base.backend,) if base.backend else (),
        modes=(base.mode,) if base.mode else block.modes,
        devices=(base.device,),
        precisions=(base.precision,),
        batch_sizes=(),
        threads=(base.threads,),
        training=training,
    )
