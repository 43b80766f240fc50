# SPDX-License-Identifier: BSD-3-Clause
"""The fit by SciPy's L-BFGS over the core's loss and gradient."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from sklearn.utils.optimize import _check_optimize_result

from fastrelu import _core
from fastrelu.gradients import Gradients
from fastrelu.network import Network
from fastrelu.sklearn import losses
from fastrelu.sklearn.optimizer import PLAIN, core_trainer
from fastrelu.sklearn.progress import Reporter
from fastrelu.sklearn.stochastic import Targets
from fastrelu.sklearn.threads import raise_if_stopped, thread_share

Array = NDArray[Any]
Loss = Callable[[Array], tuple[float, Array]]  # packed parameters to the loss and its gradient


def fit_lbfgs(est: Any, X: Any, targets: Targets, sample_weight: Array | None) -> None:
    """Minimize the penalized loss over all rows, in float64 (a line search needs its digits)."""
    net = est._live_network()
    wide = net
    if net.dtype != np.float64:
        wide = Network._zeros(net.layer_sizes, "float64", net.activations)
        wide._load_parameters(net.parameters)
    trainer = core_trainer(wide, losses.core_loss(est), PLAIN)
    with _core.DefaultFloatingPoint():
        data = trainer.data(X, targets.core, sample_weight, False)
    weight_sum = X.shape[0] if sample_weight is None else sample_weight.sum()
    function = penalized_loss(wide, trainer, data, est.alpha, weight_sum, losses.loss_divisor(est))
    reporter = LbfgsReporter(est, X.shape[0])
    options: dict[str, Any] = {"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol}
    if est.verbose is True or est.verbose >= 1:
        options |= print_option()
    with thread_share(est.n_threads):
        result = scipy.optimize.minimize(
            reporter.timed(function),
            pack(wide),
            method="L-BFGS-B",
            jac=True,
            options=options,
            callback=reporter.callback,
        )
    reporter.close()
    if reporter.stopped:  # asked to: no failure to converge
        est.n_iter_ = result.nit
    else:
        est.n_iter_ = _check_optimize_result("lbfgs", result, est.max_iter)
    est.loss_ = result.fun
    unpack(wide, result.x)
    if wide is not net:
        net.parameters[:] = wide.parameters


def pack(net: Network) -> Array:
    """Return all weights, then all biases, in one vector: scikit-learn's order."""
    return np.concatenate([a.ravel() for a in (*net.weights, *net.biases)])


def unpack(net: Network, packed: Array) -> None:
    """Set the parameters from `pack`'s vector."""
    at = 0
    for a in (*net.weights, *net.biases):
        a[...] = packed[at : at + a.size].reshape(a.shape)
        at += a.size


def penalized_loss(
    net: Network,
    trainer: _core.Trainer,
    data: _core.DataSet,
    alpha: float,
    weight_sum: float,
    divisor: float,
) -> Loss:
    """Return the function of packed parameters that gives the loss and its packed gradient."""
    flat = np.empty(net.n_parameters, net.dtype)
    gradients = Gradients.of(net, flat)
    n_weights = sum(w.size for w in net.weights)

    def function(packed: Array) -> tuple[float, Array]:
        raise_if_stopped()
        unpack(net, packed)
        with np.errstate(all="ignore"):
            value = trainer.data_gradient(data, flat) / divisor
            weights = packed[:n_weights]
            value += 0.5 * alpha * float(weights @ weights) / weight_sum
            g = np.concatenate([a.ravel() for a in (*gradients.weights, *gradients.biases)])
            g[:n_weights] += (alpha / weight_sum) * weights
        return value, g

    return function


def print_option() -> dict[str, Any]:
    """Return SciPy's option that prints, where the installed SciPy still has one."""
    try:
        from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
    except ImportError:
        return {}
    option: dict[str, Any] = _get_additional_lbfgs_options_dict("iprint", 1)
    return option


class LbfgsReporter(Reporter):
    """Reports iterations to the callbacks; SciPy asks for nothing where there are none.

    An iteration's time is that of its evaluations of loss and gradient, each over all rows.
    """

    validates = False

    def __init__(self, est: Any, n_rows: int) -> None:
        super().__init__(est)
        self.bar = False
        self.callback = self._iterated if self.callables or self.context is not None else None
        self.n_rows, self.evaluations, self.seconds, self.iterations = n_rows, 0, 0.0, 0
        self.stopped = False

    def timed(self, function: Loss) -> Loss:
        """Return the function with its calls counted and timed."""

        def counted(packed: Array) -> tuple[float, Array]:
            began = time.perf_counter()
            result = function(packed)
            self.seconds += time.perf_counter() - began
            self.evaluations += 1
            return result

        return function if self.callback is None else counted

    def _iterated(self, intermediate_result: scipy.optimize.OptimizeResult) -> None:
        est = self.est
        self.iterations += 1
        unpack(est._live_network(), intermediate_result.x)
        est.n_iter_, est.loss_ = self.iterations, float(intermediate_result.fun)
        self.begin_epoch()
        stop = self.end_epoch(None, self.seconds, self.n_rows * self.evaluations)
        self.evaluations, self.seconds = 0, 0.0
        if stop:
            self.stopped = True
            raise StopIteration  # SciPy's way to be told

    def close(self) -> None:
        """Nothing is left open."""
