"""The matrix products that a network amounts to, counted from its specification, and their operations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from backends.spec import KERNEL, Layer, NetworkSpec


class Product(NamedTuple):
    """A matrix of shape (rows, inner) times one of shape (inner, columns)."""

    rows: int
    inner: int
    columns: int


def scoring_products(spec: NetworkSpec, rows: int) -> list[Product]:
    """The products of one forward pass over so many rows, from the input to the output.

    A convolution is the product of its patches, one row for each position its kernel takes, with the kernel; a
    transposed one is the adjoint of that. Two heads read the same rows, so they are one product of both widths.
    """
    return [_product(layer, rows) for layer in _layers(spec)]


def training_products(spec: NetworkSpec, batch: int) -> list[Product]:
    """The products of one training step: the forward pass, then from the output to the input the gradients.

    With Y = X W a layer has the gradients dW = Xᵀ dY and dX = dY Wᵀ; the layer that reads the input needs no dX.
    """
    forward = scoring_products(spec, batch)
    backward = []
    for layer, (rows, inner, columns) in reversed(list(enumerate(forward))):
        backward.append(Product(inner, rows, columns))
        if layer > 0:
            backward.append(Product(rows, columns, inner))
    return forward + backward


def flops(products: Iterable[Product]) -> int:
    """Floating-point operations: a multiplication and an addition for each of rows · inner · columns."""
    return sum(2 * math.prod(product) for product in products)


def _layers(spec: NetworkSpec) -> list[Layer]:
    layers = spec.layers()
    if "logvar" in layers:
        logvar = layers.pop("logvar")
        layers["mu"] = replace(logvar, outputs=2 * logvar.outputs)
    return list(layers.values())


def _product(layer: Layer, rows: int) -> Product:
    if layer.kind == "convolution":
        return Product(rows * math.prod(layer.after), KERNEL**2 * layer.inputs, layer.outputs)
    if layer.kind == "transposed":
        return Product(rows * math.prod(layer.before), layer.inputs, KERNEL**2 * layer.outputs)
    return Product(rows, layer.inputs, layer.outputs)
