"""Inputs moved within ε of where they are: what is trained on, and the box that none of them leaves.

With L the loss of the training step and x the rows of its batch, which are to be reconstructed wherever they are moved:

- ``fgsm`` (Goodfellow et al. 2015): x' = Π(x + ε sign ∂L/∂x)
- ``pgd`` (Madry et al. 2018, begun at the row itself) of K steps: x⁰ = x, xⁱ⁺¹ = Π(xⁱ + α sign ∂L/∂xⁱ) with
  α = 2.5 ε / K, and x' = x^K

Π clips every value to [x − ε, x + ε], and to the interval that holds all values of the training rows: for pixels and
columns that are scaled to it, [0, 1]. The sign of 0 is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Attack = Literal["fgsm", "pgd"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)

STEPS = 5
"""Of ``pgd`` where nothing is said."""
MOST_STEPS = 100
REACH = 2.5
"""How far all steps of ``pgd`` go together, in ε: far enough to come from any point of the box to any other."""


@dataclass(frozen=True)
class Adversarial:
    """How the inputs of a training step are moved.

    Attributes
    ----------
    method : ``fgsm`` or ``pgd``
    epsilon : float
        ε, in the units of the scaled columns.
    steps : int
        K; 5 of ``pgd`` where nothing is said, and 1 of ``fgsm``, which has no other.
    """

    method: Attack
    epsilon: float
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.method not in ATTACKS:
            raise ValueError(f"method must be one of {ATTACKS}, not {self.method!r}")
        if not 0 < self.epsilon < float("inf"):
            raise ValueError(f"epsilon must be positive, not {self.epsilon!r}")
        if self.method == "fgsm" and self.steps not in (None, 1):
            raise ValueError(f"steps: fgsm takes one step, not {self.steps}; pgd takes several")
        if self.steps is None:
            object.__setattr__(self, "steps", 1 if self.method == "fgsm" else STEPS)
        if not 1 <= self.moves <= MOST_STEPS:
            raise ValueError(f"steps must be between 1 and {MOST_STEPS}, not {self.steps}")

    @property
    def moves(self) -> int:
        """K."""
        return self.steps or 0

    @property
    def rate(self) -> float:
        """α, and ε of ``fgsm``."""
        return self.epsilon if self.method == "fgsm" else REACH * self.epsilon / self.moves


def interval(rows: NDArray[Any]) -> NDArray[Any]:
    """The least and the largest value of all rows, shape (2,)."""
    return np.array([rows.min(), rows.max()], dtype=rows.dtype)
