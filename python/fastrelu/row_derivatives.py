# SPDX-License-Identifier: BSD-3-Clause
"""The methods of Network that return derivatives row by row, within a bound on their memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import MatrixLike, whole_number
from fastrelu.losses import Loss

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[Any]
__all__: list[str] = []


class RowDerivativeMethods:
    """The methods of Network that return derivatives row by row."""

    def per_sample_gradients(
        self,
        X: MatrixLike,
        y: ArrayLike,
        loss: str | Loss = "squared_error",
        *,
        out: Array | None = None,
        memory: int | None = None,
        check_finite: bool | None = None,
    ) -> Array:
        """Return the gradient of each row's own loss with respect to the parameters.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows, n >= 1.
        y : array_like
            Targets, as for `loss_and_gradient`.
        loss : str or loss object
            The loss; `fastrelu.losses` lists them.
        out : ndarray, (n, n_parameters), optional
            The array to write to: of the network's dtype, with contiguous rows, and without overlap
            with X, y and the parameters. A ``numpy.memmap`` holds results larger than memory.
        memory : int, optional
            Bytes that the call may take beside X, y (in the network's dtype) and `out`: for a new
            result, of ``n * n_parameters * dtype.itemsize`` bytes, and for each thread's work.
            Where they are few, fewer threads work. No bound by default.
        check_finite : bool, optional
            Whether infinities and NaN in the arguments are refused; by default the network's own
            setting.

        Returns
        -------
        ndarray, (n, n_parameters)
            `out`, or a new array, of the network's dtype. Row r has the bits of
            ``net.loss_and_gradient(X[r : r + 1], y[r : r + 1], loss)[1].flat``.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or `memory` is less than one thread needs.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> net.parameters[:] = [1, 2, 0]
        >>> net.per_sample_gradients([[1, 1], [1, 0]], [1, 1])  # (3 - 1) * x, and (1 - 1) * x
        array([[2., 2., 2.],
               [0., 0., 0.]], dtype=float32)
        """
        net = cast("Network", self)
        core, bound = net._core_trainer(loss), _bytes(memory)
        return core.per_sample_gradients(X, y, out, bound, net._finite(check_finite))

    def jacobian(
        self,
        X: MatrixLike,
        *,
        out: Array | None = None,
        memory: int | None = None,
        check_finite: bool | None = None,
    ) -> Array:
        """Return the derivatives of the outputs with respect to the inputs, for each row.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.
        out : ndarray, (n, d_out, d_in) or (d_out, d_in), optional
            The array to write to: of the network's dtype, the derivatives of a row contiguous, and
            without overlap with X and the parameters. A ``numpy.memmap`` holds results larger than
            memory.
        memory : int, optional
            Bytes that the call may take beside X (in the network's dtype) and `out`: for a new
            result, of ``n * d_out * d_in * dtype.itemsize`` bytes, and for the work on it, which
            goes by blocks of as many rows as fit. By default the work takes some 64 MiB.
        check_finite : bool, optional
            Whether infinities and NaN in X are refused; by default the network's own setting.

        Returns
        -------
        ndarray, (n, d_out, d_in) or (d_out, d_in)
            `out`, or a new array, of the network's dtype; the same bits for every `memory`.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or `memory` is less than blocks of one row need.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> net.parameters[:] = [1, 2, 0]
        >>> net.jacobian([5, 6])
        array([[1., 2.]], dtype=float32)
        >>> net.jacobian(np.zeros((1000, 2)), memory=2**25).shape
        (1000, 1, 2)
        """
        net = cast("Network", self)
        shape = (net.layer_sizes[-1], net.layer_sizes[0])
        flat = None if out is None else _flat_rows(out, shape)
        made = net._jacobian(X, flat, _bytes(memory), net._finite(check_finite))
        return made.reshape(*made.shape[:-1], *shape) if out is None else out


def _bytes(memory: int | None) -> int | None:
    return None if memory is None else whole_number("memory", memory, 1, 2**63 - 1)


def _flat_rows(out: Any, shape: tuple[int, int]) -> Array:
    """Return `out`, (..., d_out, d_in), as a view with one axis for each row's derivatives."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected a NumPy array, got {type(out).__name__}")
    if out.ndim not in (2, 3) or out.shape[-2:] != shape:
        want = f"(n, {shape[0]}, {shape[1]}), or ({shape[0]}, {shape[1]}) of one row"
        raise ValueError(f"out: expected shape {want}, got {out.shape}")
    flat = out.view(np.ndarray).reshape(*out.shape[:-2], shape[0] * shape[1])
    if out.size and not np.may_share_memory(flat, out):
        raise ValueError("out: expected the derivatives of a row side by side, got a strided array")
    return flat
