# SPDX-License-Identifier: BSD-3-Clause
"""relu, relu_backward and linear_relu on NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core

__all__ = [
    "linear_relu",
    "relu",
    "relu_backward",
]

Array = NDArray[Any]


@_core.fast_relu
def relu(z: ArrayLike, out: Array | None = None) -> Array:
    """Return ``max(0, z)``, element by element. NaN stays NaN and -0 stays -0.

    Parameters
    ----------
    z : array_like
        Real numbers, in any shape. float32 and float64 keep their dtype, others become float64.
    out : ndarray, optional
        The array to write the result to, of `z`'s shape and dtype. It may be `z` itself; any other
        overlap with `z` is an error.

    Returns
    -------
    ndarray
        `out`, or a new array of `z`'s shape.

    Raises
    ------
    TypeError, ValueError
        If `z` is not made of real numbers, or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> z = np.array([-1.0, 0.5, 2.0])
    >>> fastrelu.relu(z, out=z)
    array([0. , 0.5, 2. ])
    """
    a = _as_float("z", z)
    return _elementwise(out, {"z": a}, lambda result: _core.relu(_flat(a), result))


@_core.fast_relu_backward
def relu_backward(dh: ArrayLike, h: ArrayLike, out: Array | None = None) -> Array:
    """Return the derivative of relu applied: `dh` where the activation `h` is > 0, else 0.

    Parameters
    ----------
    dh : array_like
        The gradient with respect to the activations, in any shape.
    h : array_like
        The activations ``relu(z)``, of `dh`'s shape. `z` does as well, as only its sign counts.
    out : ndarray, optional
        The array to write the result to, of `dh`'s shape and dtype; it may be `dh` or `h` itself.

    Returns
    -------
    ndarray
        `out`, or a new array of `dh`'s shape. float32 if both arguments are, else float64.

    Raises
    ------
    TypeError, ValueError
        If an argument is not made of real numbers, the shapes differ, or `out` does not fit.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.relu_backward([5.0, 6.0, 7.0], [0.0, 0.5, 2.0])
    array([0., 6., 7.])
    """
    d, a = _as_float("dh", dh), _as_float("h", h)
    if d.shape != a.shape:
        raise ValueError(f"h: expected the shape of dh, {d.shape}, got {a.shape}")
    if a.dtype != d.dtype:
        d, a = d.astype(np.float64), a.astype(np.float64)
    return _elementwise(
        out, {"dh": d, "h": a}, lambda result: _core.relu_backward(_flat(d), _flat(a), result)
    )


@_core.fast_linear_relu
def linear_relu(
    x: ArrayLike, W: ArrayLike, b: ArrayLike | None = None, out: Array | None = None
) -> Array:
    """Return ``relu(x @ W + b)`` in one fused pass.

    Parameters
    ----------
    x : array_like, (n, fan_in) or (fan_in,)
        Rows, or one row. The result is float32 if `x` is, else float64; `W` and `b` are converted
        to its dtype.
    W : array_like, (fan_in, fan_out)
        Weights.
    b : array_like, (fan_out,), optional
        Biases; none are added by default.
    out : ndarray, (n, fan_out) or (fan_out,), optional
        The array to write the result to; it may not overlap with the other arguments.

    Returns
    -------
    ndarray, (n, fan_out) or (fan_out,)
        `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not made of real numbers, the shapes do not fit, or `out` does not.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.linear_relu([1.0, 2.0], [[1.0, -1.0], [1.0, -1.0]], [0.5, 0.5])
    array([3.5, 0. ])
    """
    rows = _as_float("x", x)
    dtype = rows.dtype
    weights = _as_float("W", W)
    if rows.ndim not in (1, 2):
        raise ValueError(f"x: expected shape (n, fan_in) or (fan_in,), got {rows.shape}")
    if weights.ndim != 2 or weights.shape[0] != rows.shape[-1] or 0 in weights.shape:
        raise ValueError(f"W: expected shape ({rows.shape[-1]}, fan_out), got {weights.shape}")
    inputs = [rows, weights]
    bias = None
    if b is not None:
        bias = _as_float("b", b)
        if bias.shape != weights.shape[1:]:
            raise ValueError(f"b: expected shape {weights.shape[1:]}, got {bias.shape}")
        inputs.append(bias)
        bias = _plain(bias, dtype)
    shape = (*rows.shape[:-1], weights.shape[1])
    if out is not None:
        _check_out(out, shape, dtype)
        if any(np.may_share_memory(out, a) for a in inputs):
            raise ValueError("out: expected no overlap with x, W or b")
    result = out if out is not None and out.flags.c_contiguous else np.empty(shape, dtype)
    _core.linear_relu(
        _plain(np.atleast_2d(rows), dtype),
        _plain(weights, dtype),
        bias,
        result.reshape(-1, shape[-1]),
    )
    return _deliver(result, out)


def _as_float(name: str, value: Any) -> Array:
    if not isinstance(value, np.ndarray):
        try:
            if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
                value = np.from_dlpack(value)
            value = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name}: expected an array of numbers ({error})") from error
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got dtype {value.dtype}")
    if value.dtype.type in (np.float32, np.float64):
        native: Array = np.asarray(value, value.dtype.newbyteorder("="))
        return native
    converted: Array = value.astype(np.float64)
    return converted


def _plain(a: Array, dtype: np.dtype[Any]) -> Array:
    """Aligned, native, C-contiguous."""
    with np.errstate(all="ignore"):
        return np.require(a, dtype, ["C", "A"])


def _flat(a: Array) -> Array:
    return _plain(a, a.dtype).reshape(-1)


def _check_out(out: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out: expected dtype {dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: expected a writable array, got a read-only one")


def _same_memory(a: Array, b: Array) -> bool:
    return (
        a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
        and a.strides == b.strides
        and a.shape == b.shape
        and a.dtype == b.dtype
    )


def _elementwise(out: Array | None, inputs: dict[str, Array], run: Any) -> Array:
    first = next(iter(inputs.values()))
    if out is not None:
        _check_out(out, first.shape, first.dtype)
        for name, a in inputs.items():
            if not _same_memory(out, a) and np.may_share_memory(out, a):
                raise ValueError(f"out: expected {name} itself or no overlap with it")
    direct = out is not None and out.flags.c_contiguous and out.flags.aligned
    result = out if out is not None and direct else np.empty(first.shape, first.dtype)
    run(result.reshape(-1))
    return _deliver(result, out)


def _deliver(result: Array, out: Array | None) -> Array:
    if out is None or out is result:
        return result
    out[...] = result
    return out
