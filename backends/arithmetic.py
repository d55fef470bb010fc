"""The matrix products that a network amounts to, counted from its specification, and their operations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from backends.layer import Layer, Sides
from backends.spec import NetworkSpec


class Product(NamedTuple):
    """A matrix of shape (rows, inner) times one of shape (inner, columns)."""

    rows: int
    inner: int
    columns: int


class Convolution(NamedTuple):
    """A convolutional layer's step: images (rows, height, width, outer) on one side, and on the other those of the
    sides that the stride leaves, and of ``inner`` channels. ``transposed`` goes from the smaller to the larger ones;
    ``first`` reads the input, which needs no gradient but for the ``moves`` of adversarial training."""

    rows: int
    outer: int
    inner: int
    larger: Sides
    transposed: bool
    first: bool
    window: Sides = (3, 3)
    stride: Sides = (2, 2)
    moves: int = 0


class Part(NamedTuple):
    """What is computed together of a training step, as products; a convolution is itself too."""

    products: tuple[Product, ...]
    convolution: Convolution | None = None


DENSE = "dense"
"""The part that all dense layers are together."""


def scoring_products(spec: NetworkSpec, rows: int, draws: int = 1) -> list[Product]:
    """The products of one forward pass over so many rows, from the input to the output; with ``draws`` of z for each.

    A convolution is the product of its patches, one row for each position its kernel takes, with the kernel; a
    transposed one is the adjoint of that. Two heads read the same rows, so they are one product of both widths.
    """
    return [_product(layer, rows * _times(name, draws)) for name, layer in _layers(spec).items()]


def training_products(spec: NetworkSpec, batch: int, draws: int = 1, moves: int = 0) -> list[Product]:
    """The products of one training step: the forward pass, then from the output to the input the gradients.

    With Y = X W a layer has the gradients dW = Xᵀ dY and dX = dY Wᵀ; the layer that reads the input needs no dX, but
    for pseudo-inputs, which go through the encoder behind the rows. Each of the ``moves`` of adversarial training is a
    forward pass and the dX of every layer that rows go through, before all else.
    """
    forward, prior = scoring_products(spec, batch, draws), _prior(spec)
    backward = [_gradients(product, first=place == 0) for place, product in enumerate(forward)]
    moving = [*forward, *prior, *map(_back, reversed(forward))] * moves
    return [*moving, *forward, *prior, *chain.from_iterable(reversed(backward)), *_trained(prior)]


def training_parts(spec: NetworkSpec, batch: int, draws: int = 1, moves: int = 0) -> dict[str, Part]:
    """The same by what a library can compute otherwise than as products: each convolutional layer by its name, and
    the dense ones together, with what the few pseudo-inputs go through."""
    parts, forward, backward, prior = {}, [], [], _prior(spec)
    for place, (name, layer) in enumerate(_layers(spec).items()):
        rows = batch * _times(name, draws)
        product, first = _product(layer, rows), place == 0
        gradients = _gradients(product, first)
        if layer.kind == "dense":
            forward.append(product)
            backward.append(gradients)
        else:
            transposed = layer.kind == "transposed"
            outer, inner = (layer.outputs, layer.inputs) if transposed else (layer.inputs, layer.outputs)
            window, stride = layer.window, layer.stride
            step = Convolution(rows, outer, inner, layer.larger, transposed, first, window, stride, moves)
            parts[name] = Part((*(product, _back(product)) * moves, product, *gradients), step)
    moving = [*forward, *prior, *map(_back, reversed(forward))] * moves
    dense = (*moving, *forward, *prior, *chain.from_iterable(reversed(backward)), *_trained(prior))
    return {DENSE: Part(dense), **parts}


def flops(products: Iterable[Product]) -> int:
    """Floating-point operations: a multiplication and an addition for each of rows · inner · columns."""
    return sum(2 * math.prod(product) for product in products)


def _prior(spec: NetworkSpec) -> list[Product]:
    """The pass of the pseudo-inputs through encoder and heads; nothing without them."""
    if spec.prior != "vamp":
        return []
    layers = _layers(spec).items()
    return [_product(layer, spec.components) for name, layer in layers if not name.startswith(("decoder", "output"))]


def _trained(prior: list[Product]) -> list[Product]:
    """The gradients of that pass, those for the pseudo-inputs among them."""
    return list(chain.from_iterable(_gradients(product, first=False) for product in reversed(prior)))


def _gradients(product: Product, first: bool) -> list[Product]:
    rows, inner, columns = product
    return [Product(inner, rows, columns), *([] if first else [_back(product)])]


def _back(product: Product) -> Product:
    """dX = dY Wᵀ."""
    rows, inner, columns = product
    return Product(rows, columns, inner)


def _layers(spec: NetworkSpec) -> dict[str, Layer]:
    layers = spec.layers()
    if "logvar" in layers:
        logvar = layers.pop("logvar")
        layers["mu"] = replace(logvar, outputs=2 * logvar.outputs)
    return layers


def _times(name: str, draws: int) -> int:
    """How often a layer runs for one row: the decoder's once for every draw of z."""
    return draws if name.startswith(("decoder", "output")) else 1


def _product(layer: Layer, rows: int) -> Product:
    if layer.kind == "convolution":
        return Product(rows * math.prod(layer.after), math.prod(layer.window) * layer.inputs, layer.outputs)
    if layer.kind == "transposed":
        return Product(rows * math.prod(layer.before), layer.inputs, math.prod(layer.window) * layer.outputs)
    return Product(rows, layer.inputs, layer.outputs)
