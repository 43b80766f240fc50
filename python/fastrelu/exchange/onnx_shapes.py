# SPDX-License-Identifier: BSD-3-Clause
"""ONNX's Flatten and Reshape: whether what they make are still the rows of the layers before."""

from __future__ import annotations

import math
from typing import Any

from fastrelu.exchange.chain import ROWS, Chain, Step

__all__: list[str] = []


def flatten(graph: Any, node: Any) -> tuple[str, Step]:
    axis = node.number("axis", 1)
    if axis != 1:
        raise ValueError(f"{node.where}: axis is {axis}, but rows are the first dimension here")
    return node.input(0), lambda chain: _join(chain, node.where)


#: How many sizes a shape has at most, and how many nodes make it one after another.
_MOST_SIZES = 16


def _sizes(graph: Any, reshape: Any, tensor: str, depth: int = 0) -> list[int] | None:
    """Return the sizes that a shape names; None if they are not constants and the rows' number.

    torch writes ``x.view(x.size(0), -1)`` as the shape of x, its first size, that and a -1.
    """
    value = graph.constant(tensor)
    if value is not None:
        if value.dtype.kind not in "iu":
            raise ValueError(
                f"{reshape.where}: expected whole numbers as its shape, got {value.dtype}"
            )
        return value.ravel().tolist() if 0 < value.size <= _MOST_SIZES else None
    made = graph.made_by(tensor)
    if made is None or depth == _MOST_SIZES:
        return None
    if made.operator == "Concat":
        joined: list[int] = []
        for name in made.inputs:
            part = _sizes(graph, reshape, name, depth + 1)
            if part is None or len(joined) + len(part) > _MOST_SIZES:
                return None  # at once: each of these may be such nodes again, without end
            joined += part
        return joined or None
    if made.operator in ("Unsqueeze", "Squeeze", "Cast", "Reshape"):
        return _sizes(graph, reshape, made.input(0), depth + 1)
    whole, first = made, made.number("end", -1) == 1
    if made.operator == "Gather":
        whole, index = graph.made_by(made.input(0)), graph.constant(made.input(1))
        first = index is not None and index.tolist() in (0, [0])
    if whole is None or whole.operator != "Shape" or whole.number("start", 0) or not first:
        return None
    ours = graph.input, _before_numbers(graph, reshape.input(0))
    return [ROWS] if _before_numbers(graph, whole.input(0)) in ours else None


def _before_numbers(graph: Any, tensor: str) -> str:
    """Return the tensor that one is made of by casts and by sums and products with one number.

    It has the same shape. Keras over torch has a cast before each layer.
    """
    while (made := graph.made_by(tensor)) is not None:
        constants = [graph.constant(name) for name in made.inputs]
        rest = [name for name, v in zip(made.inputs, constants, strict=True) if v is None]
        numbers = all(v is None or (v.size == 1 and v.ndim < 2) for v in constants)
        if made.operator not in ("Cast", "Identity", "Mul", "Add") or not numbers or len(rest) != 1:
            break
        tensor = rest[0]
    return tensor


def reshape(graph: Any, node: Any) -> tuple[str, Step]:
    given = node.numbers("shape")
    shape = _sizes(graph, node, node.input(1)) if graph.opset >= 5 else list(given or [])
    if shape is None:
        raise ValueError(
            f"{node.where}: expected a constant as its shape, or the number of rows and constants"
        )
    keeps = not node.number("allowzero", 0)
    rows = (-1, 1, ROWS, *((0,) if keeps else ()), graph.shape[0] if graph.shape else ROWS)
    if len(shape) != 2 or shape[0] not in rows or shape[1] < -1 or shape[0] == shape[1] == -1:
        zero = "" if keeps else " (allowzero is 1)"
        shown = ", ".join("n" if n == ROWS else str(n) for n in shape)
        raise ValueError(f"{node.where}: expected rows of all inputs, got shape [{shown}]{zero}")

    def step(chain: Chain) -> None:
        before = chain.width() or graph.width()
        several = chain.sizes is None or len(chain.sizes) != 2  # of which a 0 keeps one
        if shape[1] == 0 and (several or not keeps):
            raise ValueError(f"{node.where}: expected rows of all inputs, got shape {shape}")
        if shape[1] > 0 and before is not None and shape[1] != before:
            raise ValueError(f"{node.where}: expected rows of {before} numbers, got shape {shape}")
        _make_rows(chain, node.where, graph.shape[:1], *shape)

    return node.input(0), step


def _make_rows(chain: Chain, where: str, rows: list[Any], first: int, second: int) -> None:
    """Apply a Reshape whose two sizes are known to fit the rows; `rows` is their number, if known.

    Raises
    ------
    ValueError
        If it makes other rows of what the layers before it have made.
    """
    sizes = chain.sizes
    if second > 0:
        kept = first != -1 or _behind(sizes) == second
        chain.sizes = [ROWS if kept else None, second]
    elif second == -1 and first == 1 and sizes is not None and len(sizes) == 1:
        chain.sizes = [None, sizes[0]]
    elif second == -1:
        if first == 1 and rows != [1]:  # right for one row alone, as weights that follow show
            if rows not in ([], [None]):
                raise ValueError(f"{where}: makes one row of {rows[0]} rows")
            chain.one_row = where
        elif first != 0 and sizes is not None and sizes[0] != ROWS:
            raise ValueError(f"{where}: expected rows of all inputs, got shape [{first}, -1]")
        _join(chain, where)


def _behind(sizes: list[int | None] | None) -> int | None:
    """Return how many numbers stand behind each place of the first dimension, where it is known."""
    if sizes is None or None in sizes[1:]:
        return None
    return math.prod(n for n in sizes[1:] if n is not None)


def _join(chain: Chain, where: str) -> None:
    """Make one row of all that is behind the first dimension.

    Raises
    ------
    ValueError
        If the layers before it had other rows: a MatMul takes those of the last dimension.
    """
    behind, width = _behind(chain.sizes), chain.width()
    if width is not None and behind != width:
        raise ValueError(
            f"{where}: makes rows of {behind or 'an unknown number of'} numbers, but the layers "
            f"before it make rows of {width}"
        )
    first = ROWS if chain.sizes is None or len(chain.sizes) < 2 else chain.sizes[0]
    chain.sizes = [first, behind]
