# SPDX-License-Identifier: BSD-3-Clause
"""The methods of Network that write it for other programs.

Each imports what it needs when it is called: a network that is trained and run needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from fastrelu.network import Network

__all__: list[str] = []


class ExchangeMethods:
    """The methods that Network inherits from here; their docstrings address Network's users."""

    def to_c(self, path: Any, name: str = "net") -> None:
        """Write the network as one C99 file: its outputs, and their derivatives by the inputs.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.
        name : str
            What the names in the file begin with: a name in C that begins with a letter.

        Raises
        ------
        TypeError, ValueError
            If `name` is no name in C, or parameters are not finite; nothing is written then.
        OSError
            If the file cannot be written.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Notes
        -----
        The file defines ``void NAME_forward(const float *x, float *y)``, x of d_in and y of d_out
        values, and ``void NAME_jacobian(const float *x, float *J)``, J of d_out * d_in values, row
        by row; double in place of float where the dtype is float64. Neither allocates, locks or
        keeps anything: any number of threads may call them. They need ``fma`` of the C library's
        mathematics, and give the bits of ``net(x)`` and ``net.jacobian(x)`` when compiled with
        ``-ffp-contract=off`` and without ``-ffast-math``, by any C99 compiler whose float and
        double are those of IEEE 754. Any NaN equals any NaN.

        Examples
        --------
        >>> from pathlib import Path
        >>> import fastrelu
        >>> fastrelu.Network([2, 3, 1]).to_c("policy.c", name="policy")
        >>> [line for line in Path("policy.c").read_text().splitlines() if line.startswith("void")]
        ['void policy_forward(const float *x, float *y);',
         'void policy_jacobian(const float *x, float *J);',
         'void policy_forward(const float *x, float *y)',
         'void policy_jacobian(const float *x, float *J)']
        """
        from fastrelu.exchange.c_source import write_c

        write_c(cast("Network", self), path, name)

    def to_cpp(self, path: Any, name: str = "net") -> None:
        """Write the network as one C++ header with a class of static functions, for C++11 and on.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.
        name : str
            The name of the class: a name in C++ that begins with a letter and is no keyword, no
            member (``forward``) and no type or macro of the headers (``uint32_t``).

        Raises
        ------
        TypeError, ValueError
            If `name` is no such name, or parameters are not finite; nothing is written then.
        OSError
            If the file cannot be written.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Notes
        -----
        ``NAME::forward(x, y)`` and ``NAME::jacobian(x, J)`` are ``noexcept`` and otherwise as the
        functions of `to_c`; ``NAME::inputs`` and ``NAME::outputs`` are the widths.

        Examples
        --------
        >>> from pathlib import Path
        >>> import fastrelu
        >>> fastrelu.Network([2, 3, 1]).to_cpp("policy.h", name="policy")
        >>> "static void forward(const float *x, float *y) noexcept" in Path("policy.h").read_text()
        True
        """
        from fastrelu.exchange.c_source import write_cpp

        write_cpp(cast("Network", self), path, name)

    def to_onnx(self, path: Any) -> None:
        """Write the network as an ONNX file: input X (n, d_in), output Y (n, d_out).

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.

        Raises
        ------
        ImportError
            If onnx is not there.
        ValueError
            If the parameters have more bytes than an ONNX file of one piece may have; nothing is
            written then.
        OSError
            If the file cannot be written.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Notes
        -----
        The graph is a Gemm and an activation for each layer, in the network's dtype; a scale is a
        Mul before them. What runs it rounds in its own way: docs/exchange.md has figures.

        Examples
        --------
        >>> import fastrelu
        >>> fastrelu.Network([2, 3, 1]).to_onnx("net.onnx")
        >>> fastrelu.from_onnx("net.onnx")
        <fastrelu.Network 2-3-1 float32, 13 parameters>
        """
        from fastrelu.exchange.onnx_write import write_network

        write_network(cast("Network", self), path)

    def to_torch(self) -> Any:
        """Return the network as a ``torch.nn.Sequential``.

        Returns
        -------
        torch.nn.Sequential
            Linear layers and activations of the network's dtype, with copies of the parameters. A
            scale is a `fastrelu.torch.Scale` before them.

        Raises
        ------
        ImportError
            If torch is not there.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import torch
        >>> import fastrelu
        >>> fastrelu.Network([2, 3, 1], activation="tanh").to_torch()
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): Tanh()
          (2): Linear(in_features=3, out_features=1, bias=True)
        )
        """
        from fastrelu.exchange.torch_modules import to_torch

        return to_torch(cast("Network", self))

    def to_casadi(self, name: str = "net", symbols: Literal["SX", "MX"] = "SX") -> Any:
        """Return the network as a CasADi function, for optimisation and control.

        Parameters
        ----------
        name : str
            The function's name.
        symbols : {"SX", "MX"}
            What the expression is made of: numbers one by one, or matrices, which suit wide layers.

        Returns
        -------
        casadi.Function
            Of x (d_in) to y (d_out), in double. Its Jacobian is exact, and at kinks that of
            `jacobian`: the slope of ReLU is 0 at 0. NaN stays NaN, but
            CasADi leaves products with weights of 0 out of SX expressions, whatever the factor.

        Raises
        ------
        ImportError
            If CasADi is not there.
        ValueError
            If an argument is not as described.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> function = fastrelu.Network([2, 3, 1]).to_casadi()
        >>> function
        Function(net:(x[2])->(y) SXFunction)
        >>> function.jacobian()
        Function(jac_net:(x[2],out_y[1x1,0nz])->(jac_y_x[1x2]) SXFunction)
        """
        from fastrelu.exchange.casadi_function import to_casadi

        return to_casadi(cast("Network", self), name, symbols)

    def to_jax(self) -> Callable[[Any], Any]:
        """Return the network as a function of JAX, for inference.

        Returns
        -------
        callable
            From an array (..., d_in) to one (..., d_out), of the network's dtype. It may be used
            under ``jax.jit`` and ``jax.vmap``, which call back to the network as it is then; it has
            no derivatives.

        Raises
        ------
        ImportError
            If JAX is not there.
        ValueError
            If the network's dtype is float64, and JAX's doubles are switched off.

        Examples
        --------
        >>> import jax
        >>> import fastrelu
        >>> function = jax.jit(fastrelu.Network([2, 1]).to_jax())
        >>> function(jax.numpy.ones((3, 2))).shape
        (3, 1)
        """
        from fastrelu.exchange.jax_trees import to_jax

        return to_jax(cast("Network", self))
