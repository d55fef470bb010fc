"""Canonical weights: the arrays every backend starts from and gives back, by name, on disk too.

Names in order are those of ``NetworkSpec.layers``, each with ``.kernel``, of shape (in, out), (w, w, in, out) or, over
time, (w, 1, in, out), and ``.bias``, of shape (out,); after them what is trained beside the layers (``beside``), and,
where the likelihood is ``gaussian``, ``output.log_sigma``, of shape (1,).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backends.randomness import Purpose, stream
from backends.spec import VARIANCE_FLOOR, NetworkSpec

LOG_SIGMA = "output.log_sigma"
"""log σ of the ``gaussian`` likelihood; every epoch sets it, and no optimiser."""


LOG_VARIANCE = "output.log_variance"
"""s of the ``diagonal_gaussian`` likelihood, of shape (features,)."""


PRIOR = MEANS, LOGVARS, LOGITS = "prior.means", "prior.logvars", "prior.logits"
"""m and s of the mixture's components, each of shape (components, latent), and the logits of their shares."""


INPUTS = "prior.inputs"
"""Pseudo-inputs of the prior ``vamp``, of shape (components, features)."""
INPUT_NOISE = 0.01
"""Standard deviation of what is added to the rows that they begin as."""


def beside(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what is trained beside the layers, in canonical order."""
    found: dict[str, tuple[int, ...]] = {}
    if spec.likelihood == "diagonal_gaussian":
        found[LOG_VARIANCE] = (spec.features,)
    if spec.prior == "mixture":
        found |= {MEANS: (spec.components, spec.latent), LOGVARS: (spec.components, spec.latent)}
        found[LOGITS] = (spec.components,)
    elif spec.prior == "vamp":
        found[INPUTS] = (spec.components, spec.features)
    return found


def shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Every array's name and shape, in canonical order."""
    found = {
        f"{name}.{part}": shape
        for name, layer in spec.layers().items()
        for part, shape in (("kernel", layer.kernel), ("bias", (layer.outputs,)))
    }
    return found | beside(spec) | ({LOG_SIGMA: (1,)} if spec.likelihood == "gaussian" else {})


def initial_weights(spec: NetworkSpec, seed: int, X: NDArray[Any] | None = None) -> dict[str, NDArray[np.float64]]:
    """Glorot-uniform kernels, U(−√(6 / (in + out)), √(6 / (in + out))) (Glorot and Bengio 2010), a mixture's means
    from N(0, 1), and pseudo-inputs from the training rows; all else is zero.

    A convolution's ``in`` and ``out`` are its channels times the positions of its window, w² or w. Every tensor has a
    stream of its own, keyed by (seed, its position), so that its values depend on no other.

    Parameters
    ----------
    X : float array of shape (rows, features), or None
        The training rows, taken in float32; only pseudo-inputs need them. Without them there is a ValueError.
    """
    weights = {}
    for index, (name, shape) in enumerate(shapes(spec).items()):
        if name.endswith(".kernel"):
            bound = np.sqrt(6.0 / (math.prod(shape[:-2]) * sum(shape[-2:])))
            weights[name] = stream(seed, Purpose.WEIGHTS, index).uniform(-bound, bound, shape)
        elif name == MEANS:
            weights[name] = stream(seed, Purpose.WEIGHTS, index).standard_normal(shape)
        elif name == INPUTS:
            if X is None:
                raise ValueError("the pseudo-inputs of the prior 'vamp' begin as training rows, and none were given")
            weights[name] = pseudo_inputs(stream(seed, Purpose.WEIGHTS, index), X, spec.components)
        else:
            weights[name] = np.zeros(shape)
    return weights


def pseudo_inputs(generator: np.random.Generator, X: NDArray[Any], count: int) -> NDArray[np.float64]:
    """So many training rows drawn without repetition, if there are as many, with a little noise on each value: one of
    the two ways in which the authors of the prior begin. The noise parts rows that are equal, which would stay so."""
    chosen = generator.choice(len(X), count, replace=len(X) < count)
    rows = np.asarray(X[chosen], dtype=np.float32).astype(np.float64)
    return rows + INPUT_NOISE * generator.standard_normal(rows.shape)


def sigma(weights: Mapping[str, NDArray[Any]]) -> float | None:
    """σ of the ``gaussian`` likelihood; None for weights of another."""
    if LOG_SIGMA not in weights:
        return None
    return math.exp(weights[LOG_SIGMA][0])


def variances(weights: Mapping[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    """σ² of every feature under ``diagonal_gaussian``, shape (features,); None for weights of another likelihood."""
    if LOG_VARIANCE not in weights:
        return None
    return np.asarray(np.exp(np.asarray(weights[LOG_VARIANCE], dtype=np.float64)) + VARIANCE_FLOOR)


def check(weights: Mapping[str, NDArray[Any]], spec: NetworkSpec) -> None:
    """Raises ValueError, naming the first difference, where names, shapes or kinds are not what the network needs."""
    expected = shapes(spec)
    if missing := [name for name in expected if name not in weights]:
        raise ValueError(f"weights lack {missing[0]!r}, which this network needs (of shape {expected[missing[0]]})")
    for name, array in weights.items():
        if name not in expected:
            raise ValueError(f"weights hold {name!r}, which this network does not have")
        if array.shape != expected[name]:
            raise ValueError(f"weights hold {name!r} of shape {array.shape}, but this network needs {expected[name]}")
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"weights hold {name!r} of type {array.dtype}, but need floating-point numbers")


def save(path: Path, weights: Mapping[str, NDArray[Any]], spec: NetworkSpec) -> None:
    """Writes a safetensors file with the network as JSON in its metadata. Raises ValueError where the two disagree."""
    check(weights, spec)
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    save_file(arrays, path, metadata={"spec": msgspec.json.encode(asdict(spec)).decode()})


def load(path: Path) -> tuple[NetworkSpec, dict[str, NDArray[Any]]]:
    """Reads what ``save`` wrote, in canonical order.

    Raises ValueError, in one line, for a file that is corrupt, not safetensors, or whose arrays do not fit its network;
    FileNotFoundError where there is none.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("spec")
            if text is None:
                raise ValueError("its metadata hold no 'spec', so it was not saved by this tool")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        spec = msgspec.json.decode(text, type=NetworkSpec)
        check(weights, spec)
    except (SafetensorError, msgspec.DecodeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as saved weights: {error}") from error
    return spec, {name: weights[name] for name in shapes(spec)}
