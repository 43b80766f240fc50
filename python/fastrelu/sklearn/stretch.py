# SPDX-License-Identifier: BSD-3-Clause
"""Many epochs of a fit in one call of the core, until there is something to decide."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu.sklearn import losses
from fastrelu.sklearn.threads import together_of_thread
from fastrelu.sklearn.together import Fit, run_alone

if TYPE_CHECKING:
    from fastrelu.sklearn.stochastic import Run

#: After so long a fit takes another look at its share of the threads.
SECONDS = 0.05
MOST_EPOCHS = 2**62  # of a patience without end


def can_stretch(run: Run, incremental: bool) -> bool:
    """Return whether nobody but the core has a part in the epochs of a fit.

    The generator of the row orders must then be the fit's own: one that others draw from, too,
    would have to be guarded for as long as the core works.
    """
    est = run.est
    own = isinstance(est.random_state, Integral) or not est.shuffle
    fixed = est.learning_rate in ("constant", "adaptive") or est.solver == "adam"
    return (
        not incremental
        and run.validation is None
        and not run.reporter.speaks
        and own
        and fixed
        and not callable(est.learning_rate)
    )


class Stretches:
    """The epochs of one fit, in stretches that end where its loss has stopped falling.

    Parameters
    ----------
    run : Run
        The fit.
    """

    def __init__(self, run: Run) -> None:
        est = run.est
        generator = est._random_state._bit_generator if est.shuffle else None
        self.run = run
        self.epochs = _core.GivenEpochs(
            run.order, generator, run.batch_size, float(est.alpha), float(run.divisor)
        )
        n_parameters = est._live_network().parameters.size
        self.fit = Fit(run.trainer, losses.core_loss(est), self.epochs, run.arrays, n_parameters)
        together = together_of_thread()
        self._together = together if together is not None and together.takes(self.fit) else None

    @property
    def waits(self) -> bool:
        """Whether they wait for the other fits of a search."""
        return self._together is not None

    def next(self, most: int) -> None:
        """Run up to `most` epochs, and write down what came of them."""
        est, run = self.run.est, self.run
        patience = min(est.n_iter_no_change, MOST_EPOCHS)
        seconds = float("inf") if self.waits else SECONDS
        self.epochs.watch(
            float(est.tol), int(patience), est.best_loss_, est._no_improvement_count, seconds
        )
        self.fit.epochs_left = most
        self.fit.learning_rate = float(est._optimizer.rates(1)[0])
        try:
            if self._together is None:
                run_alone(self.fit, run.data)
            else:
                self._together.run(self.fit)
        finally:
            self._write_down(self.fit.numbers)
        run.raise_if_diverged()

    def _write_down(self, numbers: NDArray[np.float64]) -> None:
        est, run = self.run.est, self.run
        if len(numbers) == 0:
            return
        loss, rate, seconds, penalty = numbers.T
        curve = ((loss / run.divisor + penalty) / run.count).tolist()
        run.rate, run.seconds = float(rate[-1]), float(seconds[-1])
        est.n_iter_ += len(curve)
        est.t_ += run.count * len(curve)
        est.loss_curve_ += curve
        est.loss_ = curve[-1]
        est.best_loss_, est._no_improvement_count = self.epochs.watched
        optimizer: Any = est._optimizer
        optimizer.iteration_ends(est.t_)
