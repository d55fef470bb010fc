"""Many trainings in one program: the scanned epoch, for one lane after the other on a CPU, for all at once on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import TAIL, tracing_rows
from backends.interface import BackendError, EpochLoss, Weights
from backends.jax.idiomatic import Drawing, Draws, draw
from backends.jax.network import Network
from backends.jax.optimizers import make_optimizer
from backends.jax.tuned import batches_by_rank, train_epoch
from backends.lanes import Rows
from backends.spec import NetworkSpec, TrainingSettings


class Own(NamedTuple):
    """What each lane has for itself: arrays of shape (lanes,), or one lane's numbers."""

    learning_rate: Any
    weight_decay: Any
    dropout: Any
    keep: Any
    """One minus the rate of dropout."""


def own(settings: TrainingSettings) -> Own:
    return Own(settings.learning_rate, settings.weight_decay, settings.dropout, 1 - settings.dropout)


def train_lane(
    graph: nnx.GraphDef[tuple[Network, nnx.Optimizer]],
    settings: TrainingSettings,
    state: nnx.State,
    data: Array,
    order: Array,
    draws: Draws,
    kl_weight: Array,
    going: Array,
    own: Own,
) -> tuple[nnx.State, Array]:
    """``train_epoch`` of one lane, which stays as it is unless it is still going."""

    def adapt(network: Network, optimizer: nnx.Optimizer) -> None:
        network.dropout = own.dropout
        decay = own.weight_decay if settings.weight_decay else None
        optimizer.tx = optax.flatten(make_optimizer(settings, own.learning_rate, decay))

    after, totals = train_epoch(graph, state, data, order, draws, kl_weight, adapt)
    return jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state), totals


def draw_at_once(kind: Drawing, rows: int, steps: int, size: int, key: Array, epoch: Array, keep: Array) -> Any:
    """What an epoch draws with this key in the mode ``tuned``: random words for the order, and ε and masks."""
    order, draws = jax.random.split(jax.random.fold_in(key, epoch))
    drawn = draw(draws, kind, steps * size, keep)
    batches = jax.tree.map(lambda array: array.reshape(steps, size, array.shape[-1]), drawn)
    return jax.random.bits(order, (rows,)), batches


def draw_by_step(kind: Drawing, rows: int, steps: int, size: int, key: Array, epoch: Array, keep: Array) -> Any:
    """What it draws in the mode ``idiomatic``: the order itself, and ε and masks step by step."""
    order, draws = jax.random.split(jax.random.fold_in(key, epoch))
    drawn = jax.vmap(lambda step: draw(jax.random.fold_in(draws, step), kind, size, keep))(jnp.arange(steps))
    return jax.random.permutation(order, rows)[: steps * size].reshape(steps, size), drawn


def in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """What ``jax.vmap`` makes of a function, but lane after lane, each with its weights in the processor's cache.

    Where 64 lanes take part in each operation, a CPU trains half as many rows a second.
    """
    return lambda *lanes: jax.lax.map(lambda lane: function(*lane), lanes)


class JaxLanes:
    """``backends.lanes.Lanes``: every array has a first axis over the lanes."""

    def __init__(self, spec: NetworkSpec, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> None:
        self.spec, self.common = spec, settings[0]
        self.device = jax.devices(self.common.device)[0]
        self.dtype = jnp.dtype(self.common.storage)
        with jax.default_device(self.device):
            self.network = Network(spec, weights[0], self.common)
            transformation = optax.flatten(make_optimizer(self.common))
            self.optimizer = nnx.Optimizer(self.network, transformation, wrt=nnx.Param)
        self.graph = nnx.graphdef((self.network, self.optimizer))
        self.shape: tuple[int, ...] = ()
        self.over_lanes = in_turn if self.common.device == "cpu" else jax.vmap
        self.run_terms = jax.jit(self.over_lanes(self.terms))
        self.choose = jax.jit(jax.vmap(lambda new, old, chosen: jax.tree.map(partial(jnp.where, chosen), new, old)))
        self.restart(weights, settings)

    def restart(self, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> None:
        self.settings, states = list(settings), []
        for given, one in zip(weights, settings, strict=True):
            canonical.check(given, self.spec)
            self.network.restart(given, one.seed)
            states.append(jax.device_get(nnx.state((self.network, self.optimizer))))
        self.state = self.put(jax.tree.map(lambda *lanes: np.stack(lanes), *states))
        self.own = self.put(jax.tree.map(lambda *lanes: np.array(lanes, self.dtype), *map(own, settings)))
        self.keys = self.put(jnp.stack([jax.random.key(one.seed) for one in settings]))
        self.kept = jax.tree.map(jnp.copy, self.state[0])

    def put(self, tree: Any) -> Any:
        return jax.device_put(tree, self.device)

    def load_data(self, X: Sequence[Rows]) -> None:
        rows = self.stacked(X)
        size = self.common.batch_size
        if rows.shape[1] < size:
            raise BackendError(f"{rows.shape[1]} training rows do not fill one batch of {size}: choose a smaller batch")
        self.data, self.steps = self.put(rows), rows.shape[1] // size
        if rows.shape == self.shape:
            return
        self.shape = rows.shape
        s = self.common
        kind = Drawing(self.spec, s.dropout, s.input_noise, s.importance_samples, self.dtype)
        draws = draw_at_once if self.common.mode == "tuned" else draw_by_step
        self.draw_all = jax.jit(jax.vmap(partial(draws, kind, rows.shape[1], self.steps, size), in_axes=(0, None, 0)))
        self.rank = jax.jit(jax.vmap(lambda words: batches_by_rank(words, self.steps, size)))
        self.train: Any = jax.jit(self.over_lanes(partial(train_lane, self.graph, self.common)), donate_argnums=0)
        self.compiled = False

    def stacked(self, X: Sequence[Rows]) -> NDArray[Any]:
        """Rows of all lanes, shape (lanes, rows, features), in the storage type."""
        if len({rows.shape for rows in X}) > 1 or X[0].shape[1:] != (self.spec.features,):
            shapes = sorted({rows.shape for rows in X})
            raise ValueError(f"the rows of all lanes must have one shape (rows, {self.spec.features}), not {shapes}")
        return np.stack(X).astype(self.common.storage)

    def compile(self) -> None:
        if not self.compiled:
            self.train = self.train.lower(*self.arguments(0, [True] * len(self.settings))).compile()
            self.compiled = True

    def arguments(self, epoch: int, going: Sequence[bool]) -> tuple[Any, ...]:
        order, draws = (self.shared_epoch if self.common.random_source == "shared" else self.native_epoch)(epoch)
        weights = np.array([one.kl_weight(epoch) for one in self.settings], self.dtype)
        return self.state, self.data, order, draws, weights, np.array(going), self.own

    def shared_epoch(self, epoch: int) -> tuple[Array, Draws]:
        """Each lane's order, ε and masks from the source that every backend shares: (lanes, steps, batch, ...)."""
        drawn = [randomness.shared_epoch(self.spec, one, epoch, self.shape[1]) for one in self.settings]

        def batches(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
            used = np.stack(arrays)[:, : self.steps * self.common.batch_size]
            used = used.astype(self.dtype) if np.issubdtype(used.dtype, np.floating) else used
            return used.reshape(len(used), self.steps, self.common.batch_size, *used.shape[2:])

        arrays = {name: batches([one.arrays[name] for one in drawn]) for name in drawn[0].arrays}
        found: tuple[Array, Draws] = self.put((batches([one.order for one in drawn]), arrays))
        return found

    def native_epoch(self, epoch: int) -> tuple[Array, Draws]:
        """The same from JAX's own generator, each lane's from its own key."""
        order, draws = self.draw_all(self.keys, np.uint32(epoch), self.own.keep)
        if self.common.mode == "tuned":
            with jax.enable_x64(True):
                order = self.rank(order)
        return order, draws

    def run_epoch(self, epoch: int, going: Sequence[bool]) -> None:
        self.last_kl_weights = [one.kl_weight(epoch) for one in self.settings]
        self.state, self.totals = self.train(*self.arguments(epoch, going))

    def synchronize(self) -> None:
        jax.block_until_ready((self.state, self.kept))

    def epoch_losses(self) -> list[EpochLoss]:
        parts = (np.asarray(self.totals) / self.steps).tolist()
        return [
            EpochLoss(reconstruction + weight * kl, reconstruction, kl)
            for weight, (reconstruction, kl) in zip(self.last_kl_weights, parts, strict=True)
        ]

    def terms(self, state: nnx.State, x: Array) -> tuple[Array, Array]:
        with tracing_rows():
            return nnx.merge(self.graph, state)[0].terms(x)

    def evaluate(self, X: Sequence[Rows]) -> list[EpochLoss]:
        rows = self.stacked(X)
        count, found = rows.shape[1], []
        for start in range(0, count, TAIL):
            chunk = rows[:, start : start + TAIL]
            missing = TAIL - chunk.shape[1]
            found.append(self.run_terms(self.state, np.pad(chunk, ((0, 0), (0, missing), (0, 0)))))
        terms = (np.concatenate(parts, 1)[:, :count] for parts in zip(*jax.device_get(found), strict=True))
        means = zip(*(np.mean(term, axis=1, dtype=np.float64).tolist() for term in terms), strict=True)
        return [EpochLoss(r + one.beta * kl, r, kl) for one, (r, kl) in zip(self.settings, means, strict=True)]

    def keep(self, lanes: Sequence[bool]) -> None:
        self.kept = self.choose(self.state[0], self.kept, np.array(lanes))

    def export_weights(self, lane: int, kept: bool = False) -> Weights:
        source = self.kept if kept else self.state[0]
        nnx.update(self.network, jax.tree.map(lambda array: array[lane], source))
        return self.network.export()
