"""What Keras leaves to its engine, here TensorFlow; the other engines' files name their functions alike."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from backends.spec import Precision

Array = Any  # tf.Tensor, which is Any to the checker
VERSIONS = {"tensorflow": tf.__version__}
NO_GPU = "TensorFlow finds no GPU"
MISSING_MODES: dict[str, str] = {}
"""The modes that this engine does not have, and why."""

# TensorFlow counts traces per source line, so that the few row functions, each traced once, look to it like retracing.
logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())


def gpu_name() -> str | None:
    """The first GPU's name, or None where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else None


def compute_capability() -> float:
    """The first GPU's, as NVIDIA counts it; 0 where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return 0.0
    major, minor = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return major + minor / 10


def threads() -> int | None:
    """Threads within one operation; None where TensorFlow takes what the machine has.

    TensorFlow reports 0 unless the number was set in the program, and then obeys its environment variable."""
    return (
        tf.config.threading.get_intra_op_parallelism_threads()
        or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0))
        or None
    )


def seed(number: int) -> int:
    """As Keras's generator takes it."""
    return number


def set_precision(precision: Precision) -> None:
    """How exact matrix products are."""
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")


def batches(arrays: Any, size: int, seed: int | None) -> tf.data.Dataset:
    """Full batches of equally long arrays: in their order, or shuffled anew at each pass where there is a seed."""
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    if seed is not None:
        dataset = dataset.shuffle(len(arrays["x"]), seed=seed, reshuffle_each_iteration=True)
    return dataset.batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def drawing(network: keras.Model, rows: int) -> Callable[[], dict[str, Any]]:
    """What draws for so many rows as a training step does, by the same compiler."""
    return tf.function(lambda: network.draw(rows), jit_compile=network.jit_compile, autograph=False)


def gradient(function: Callable[[Array], Array], x: Array) -> Array:
    """Of a function with one number as its result, for x."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        found = function(x)
    return tape.gradient(found, x)


def synchronize(variables: Sequence[keras.Variable]) -> None:
    """Waits for all that is queued on the device; on the CPU TensorFlow queues nothing."""
    if tf.config.list_physical_devices("GPU"):
        tf.test.experimental.sync_devices()


def memory_peak() -> int:
    """The most bytes held on the first GPU."""
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def compiled(model: keras.Model, fused: bool = False) -> Callable[[Any], tuple[Array, ...]]:
    """A model's call as one program, by XLA where Keras uses it or where there is much beside the products that XLA
    fuses: on the CPU TensorFlow's own products are faster."""
    return tf.function(model, jit_compile=fused or model.jit_compile, autograph=False)


def compiled_epoch(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., Array]:
    """The first steps of an epoch as one program, from (data, epoch, steps) to the sums of mean reconstruction and KL.

    ``epoch`` holds the batches' row numbers as ``order``, shape (steps, batch), and all else that the network is called
    with, each of shape (steps, batch, width). XLA keeps the variables in its loop, and writes them at its end.
    """
    weights = network.trainable_variables

    def one(data: Array, batch: dict[str, Any]) -> Array:
        with tf.GradientTape() as tape:
            loss, parts = network.batch_loss({**batch, "x": tf.gather(data, batch["order"])})
        optimizer.apply(tape.gradient(loss, weights), weights)
        return parts

    @tf.function(jit_compile=True, autograph=False)  # it would read, and write anew, all that is called
    def run(data: Array, epoch: dict[str, Any], steps: Array) -> Array:
        def body(step: Array, totals: Array) -> tuple[Array, Array]:
            batch = keras.tree.map_structure(lambda array: array[step], epoch)
            return step + 1, totals + one(data, batch)

        start = tf.constant(0, steps.dtype), tf.zeros(2, data.dtype)
        return tf.while_loop(lambda step, _: step < steps, body, start)[1]

    return run
