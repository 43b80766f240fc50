# SPDX-License-Identifier: BSD-3-Clause
"""A network as a module of PyTorch, whose forward and backward passes are the core's (needs torch).

`fastrelu.from_torch` and `Network.to_torch` translate instead.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from fastrelu.exchange.extras import need
from fastrelu.network import Network

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    need("torch", "torch")  # an error that says what to install
    raise

__all__ = ["FusedMLP", "Scale"]


class Scale(nn.Module):
    """Multiply the inputs by a constant, as a network's `scale` does.

    Parameters
    ----------
    factor : float
        The constant.

    Examples
    --------
    >>> import torch
    >>> import fastrelu.torch
    >>> fastrelu.torch.Scale(0.5)(torch.ones(2))
    tensor([0.5000, 0.5000])
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = float(factor)

    def forward(self, x: Any) -> Any:
        """Return ``x * factor``.

        Parameters
        ----------
        x : torch.Tensor
            Any tensor.

        Returns
        -------
        torch.Tensor

        Examples
        --------
        >>> import torch
        >>> import fastrelu.torch
        >>> fastrelu.torch.Scale(2).forward(torch.ones(1))
        tensor([2.])
        """
        return x * self.factor

    def extra_repr(self) -> str:
        """Return what the text of the module says of it.

        Returns
        -------
        str

        Examples
        --------
        >>> import fastrelu.torch
        >>> fastrelu.torch.Scale(0.5)
        Scale(0.5)
        """
        return str(self.factor)


class FusedMLP(nn.Module):
    """A multi-layer perceptron whose passes are computed by fastrelu's core, on CPU tensors.

    Parameters
    ----------
    network : Network or sequence of int
        The network, which the module takes over, or the layer sizes of a new one.
    **settings : Any
        Those of `Network`, for a new one: ``activation``, ``bias``, ``dtype``, ``seed``, ...

    Attributes
    ----------
    flat : torch.nn.Parameter, (n_parameters,)
        All parameters, in the order of ``Network.parameters``; memory of the network, so that an
        optimizer updates the network in place.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a tensor is not on the CPU or of another dtype.

    Notes
    -----
    Inputs are (..., d_in); tensors whose rows are contiguous are read in place. Derivatives by
    parameters and inputs are the core's; there are no second derivatives. ``torch.compile`` leaves
    the module out of its graph. What is not finite is computed with, not refused.

    Examples
    --------
    >>> import torch
    >>> import fastrelu.torch
    >>> mlp = fastrelu.torch.FusedMLP([2, 8, 1], activation="tanh")
    >>> optimizer = torch.optim.SGD(mlp.parameters(), lr=0.1)
    >>> loss = (mlp(torch.ones(4, 2)) ** 2).mean()
    >>> loss.backward()
    >>> optimizer.step()
    >>> mlp.network
    <fastrelu.Network 2-8-1 float32, 33 parameters>
    """

    # Of the network's parameters, and the numbers of its inputs and outputs, which each call asks
    # for; 0 before they are known, as in pickles of old.
    _address = 0
    _ends = (0, 0)

    def __init__(self, network: Network | Sequence[int], **settings: Any) -> None:
        super().__init__()
        if isinstance(network, Network):
            if settings:
                raise TypeError(f"settings: a network has its own, got {', '.join(settings)}")
            net = network
        else:
            net = Network(network, **settings)
        self._keep(net)
        self.flat = nn.Parameter(torch.from_numpy(net.parameters))

    def _keep(self, net: Network) -> None:
        """Take a network, with what each call asks of it."""
        sizes = net.layer_sizes
        self._net, self._ends = net, (sizes[0], sizes[-1])
        self._address = net.parameters.ctypes.data

    @property
    def network(self) -> Network:
        """The network: a view of the module's parameters, as they are now."""
        return self._attached()

    def _attached(self) -> Network:
        """Return the network, whose memory the parameter is again if it was moved or copied."""
        net, flat = self._net, self._parameters["flat"]  # faster than the module's own look-up
        if flat.data_ptr() == self._address:
            return net
        if flat.device.type != "cpu":
            raise ValueError(f"FusedMLP computes on the CPU; its parameters are on {flat.device}")
        if str(flat.dtype) not in ("torch.float32", "torch.float64"):
            raise TypeError(f"FusedMLP: expected float32 or float64 parameters, got {flat.dtype}")
        values = flat.detach().numpy()
        if values.dtype != net.dtype:
            net = Network(
                net.layer_sizes,
                bias=net.bias,
                dtype=values.dtype,
                activation=net.activations,
                scale=net.scale,
            )
        net.parameters[:] = values
        self._keep(net)
        flat.data = torch.from_numpy(net.parameters)
        return net

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_address": 0}  # what is unpickled lies elsewhere

    def __deepcopy__(self, memo: dict[int, Any]) -> FusedMLP:
        made = FusedMLP(self.network.copy())
        for name, value in self.__dict__.items():
            if name not in ("_net", "_address", "_parameters"):
                made.__dict__[name] = copy.deepcopy(value, memo)
        made.flat.requires_grad_(self.flat.requires_grad)
        memo[id(self)], memo[id(self.flat)] = made, made.flat
        return made

    def extra_repr(self) -> str:
        """Return what the text of the module says of it.

        Returns
        -------
        str

        Examples
        --------
        >>> import fastrelu.torch
        >>> fastrelu.torch.FusedMLP([2, 3, 1])
        FusedMLP(2-3-1, relu)
        """
        net = self._net
        kinds = list(dict.fromkeys(net.activations))
        return ", ".join(["-".join(map(str, net.layer_sizes)), *kinds])

    def forward(self, x: Any) -> Any:
        """Return the outputs for rows of inputs.

        Parameters
        ----------
        x : torch.Tensor, (..., d_in)
            On the CPU, of the module's dtype, or uint8.

        Returns
        -------
        torch.Tensor, (..., d_out)

        Raises
        ------
        TypeError, ValueError
            If x is no such tensor.

        Examples
        --------
        >>> import torch
        >>> import fastrelu.torch
        >>> fastrelu.torch.FusedMLP([2, 1]).forward(torch.ones(3, 5, 2)).shape
        torch.Size([3, 5, 1])
        """
        if torch.compiler.is_compiling():
            return _uncompiled(self, x)
        return self._outputs(x)

    def _outputs(self, x: Any) -> Any:
        self._attached()
        flat = self._parameters["flat"]
        # The usual tensor, seen as such by few look-ups: each takes longer than it looks in a loop
        # whose other parts have filled the caches.
        usual = (
            type(x) is torch.Tensor
            and x.ndim == 2
            and x.dtype is flat.dtype
            and x.is_cpu
            and x.shape[1] == self._ends[0]
        )
        if usual:
            return _Passes.apply(x, flat, self)
        out = _Passes.apply(self._rows(x), flat, self)
        return out if x.ndim == 2 else out.reshape(*x.shape[:-1], out.shape[-1])

    def _rows(self, x: Any) -> Any:
        """Return a tensor of inputs as (n, d_in); an error if it is none."""
        dtype, width = self._parameters["flat"].dtype, self._ends[0]
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"x: expected a torch.Tensor, got {type(x).__name__}")
        if x.device.type != "cpu":
            raise ValueError(f"x: expected a tensor on the CPU, got one on {x.device}")
        if x.dtype not in (dtype, torch.uint8):
            raise TypeError(f"x: expected {dtype} or torch.uint8, got {x.dtype}")
        if x.ndim == 0 or x.shape[-1] != width:
            raise ValueError(f"x: expected shape (..., {width}), got {tuple(x.shape)}")
        return x if x.ndim == 2 else x.reshape(-1, width)


@torch.compiler.disable
def _uncompiled(module: FusedMLP, x: Any) -> Any:
    """Return a module's outputs, outside of the graph that ``torch.compile`` makes.

    The decorator's wrapper takes microseconds at each call: only what is being compiled needs it.
    """
    return module._outputs(x)


def _gradients(ctx: Any, d_out: Any) -> tuple[Any, Any, None]:
    """Return the derivatives by inputs and parameters, those that are wanted."""
    x, flat = ctx.saved_tensors  # an error if one was changed
    to_x, to_parameters, _ = ctx.needs_input_grad
    d_out = d_out.contiguous()
    dx = torch.empty(x.shape, dtype=flat.dtype) if to_x else None
    d_flat = torch.empty(flat.shape, dtype=flat.dtype) if to_parameters else None
    ctx.net._backward_at(
        ctx.cache,
        d_out.data_ptr(),
        0 if d_flat is None else d_flat.data_ptr(),
        0 if dx is None else dx.data_ptr(),
    )
    return dx, d_flat, None


class _Once(torch.autograd.Function):
    """Passes a gradient on, as one of all that it depends on: its own derivative is an error.

    torch's `once_differentiable` sees whether the outputs' gradient has a graph, but not that the
    inputs have one: the derivative of a penalty on the gradient would then be left out in silence.
    """

    @staticmethod
    def forward(ctx: Any, gradient: Any, *of: Any) -> Any:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError("FusedMLP has no second derivatives; Network.to_torch() gives modules "
                           "that have them")  # fmt: skip


def _gradients_once(ctx: Any, d_out: Any) -> tuple[Any, Any, None]:
    with torch.no_grad():
        made = _gradients(ctx, d_out)
    dx, d_flat = (g if g is None else _Once.apply(g, d_out, *ctx.saved_tensors) for g in made[:2])
    return dx, d_flat, None


class _Passes(torch.autograd.Function):
    """The two passes. Tensors are saved so that torch sees if they are changed in between."""

    @staticmethod
    def forward(ctx: Any, x: Any, flat: Any, module: FusedMLP) -> Any:
        net = module._net
        if not any(ctx.needs_input_grad):
            return torch.from_numpy(net.forward(x.numpy(), check_finite=False))
        if x.dtype is flat.dtype and x.is_contiguous():
            out = torch.empty((x.shape[0], module._ends[1]), dtype=flat.dtype)
            ctx.cache = net._forward_at(x.data_ptr(), x.shape[0], out.data_ptr())
        else:
            outputs, ctx.cache = net._forward_cached(x.numpy(), False)
            out = torch.from_numpy(outputs)
        ctx.net = net
        ctx.save_for_backward(x, flat)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Any) -> tuple[Any, Any, None]:
        # A graph of the gradient is made only where somebody asks for second derivatives: then
        # the decorator makes their use an error. Without one it would take 5 us for nothing.
        return (_gradients_once if torch.is_grad_enabled() else _gradients)(ctx, d_out)
