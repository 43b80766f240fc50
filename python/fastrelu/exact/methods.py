# SPDX-License-Identifier: BSD-3-Clause
"""The methods of Network that take it apart into its linear pieces.

Each imports what it needs when it is called: a network that is trained and run needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from fastrelu.exact.piecewise import PiecewiseLinear
    from fastrelu.exact.regions import LinearRegions
    from fastrelu.exact.segment import LocalAffine
    from fastrelu.network import Network


class PieceMethods:
    """What Network inherits from here; each docstring is its user's."""

    def local_affine(self, X: ArrayLike) -> LocalAffine:
        """Return the affine map that the network is around each row.

        Parameters
        ----------
        X : array_like, (n, d_in) or (d_in,)
            Rows, or one row; dense and finite.

        Returns
        -------
        LocalAffine
            Unpacks as ``A, c``, float64, (n, d_out, d_in) and (n, d_out) ((d_out, d_in), (d_out,)
            for one row): ``net(x') = A x' + c`` wherever the same hidden units are active.
            ``.pattern``, bool, (n, n_hidden) or (n_hidden,), says which are.

        Raises
        ------
        ValueError
            If X does not fit, or an activation is none of relu, leaky_relu and identity.
        """
        from fastrelu.exact.segment import local_affine

        return local_affine(cast("Network", self), X)

    def along(self, x0: ArrayLike, x1: ArrayLike) -> PiecewiseLinear:
        """Return ``t -> net(x0 + t (x1 - x0))`` as an exact piecewise-linear function.

        Parameters
        ----------
        x0, x1 : array_like, (d_in,)
            Where the segment starts, t = 0, and ends, t = 1.

        Returns
        -------
        PiecewiseLinear
            Its knots are 0, 1 and every t between at which a hidden unit's kink lies, felt in the
            outputs or not (``.simplify()`` drops the others); its values are (n_knots, d_out). It
            is meant for t in [0, 1]; beyond, the first and the last piece go on. Computed in
            float64 from the parameters as they are now.

        Raises
        ------
        ValueError
            If a point does not fit, or an activation is none of relu, leaky_relu and identity.
        """
        from fastrelu.exact.segment import along

        return along(cast("Network", self), x0, x1)

    def linear_regions(
        self,
        window: ArrayLike,
        *,
        origin: ArrayLike | None = None,
        u: ArrayLike | None = None,
        v: ArrayLike | None = None,
        max_regions: int = 1_000_000,
    ) -> LinearRegions:
        """Return the exact linear regions on a plane through the inputs.

        Parameters
        ----------
        window : (float, float, float, float)
            s from and to, t from and to, of the points ``x = origin + s u + t v``.
        origin, u, v : array_like, (d_in,), optional
            The plane; by default that of the inputs themselves if there are two (``origin`` 0, s
            the first and t the second), else only `origin` may be left out.
        max_regions : int
            The most regions to make, at most 2**30; memory grows with them times the widest layer.

        Returns
        -------
        LinearRegions
            Convex polygons that fill the window, with the pattern of active units and the affine
            map (in s and t) on each. The same bits on every machine, in the same order: each
            hidden layer cuts the polygons left by the one before, unit by unit; the parts take
            their polygon's place, the one where the unit is active first. Computed in float64
            from the parameters as they are now. A unit counts as 0 where it is within some
            roundings of the numbers that it is computed from there: what is large in one place of
            the window hides nothing in another. Kinks nearer together than that are one.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or there are more than `max_regions` regions.
        """
        from fastrelu.exact.regions import linear_regions

        return linear_regions(cast("Network", self), window, origin, u, v, max_regions)

    def lipschitz(
        self, bounds: ArrayLike | None = None, norm: Any = 2, *, seed: int = 0
    ) -> tuple[float, float]:
        """Return bounds on the least L with ``|net(x) - net(x')| <= L |x - x'|``.

        Parameters
        ----------
        bounds : array_like, (d_in, 2), optional
            One (low, high) for each input, low < high: x and x' in this box; by default anywhere.
        norm : {1, 2, inf}
            Of both the inputs and the outputs.
        seed : int
            Of the points at which the search for the lower bound starts, with three or more inputs.

        Returns
        -------
        lower, upper : float
            With one or two inputs both come from the linear regions and differ by roundings
            alone. Where kinks are so near together that roundings decide about regions, what may be
            between them is counted in `upper`, and told apart by exact arithmetic as far as a limit
            on its work allows. Where there are too many regions (1e6), as with three or more
            inputs: `lower` is the norm of the Jacobian of a region that was found by sampling and
            local search, `upper` the least of several bounds by the layers' matrices, with
            `bounds` tightened by which units cannot switch in the box. Roundings of these
            computations are counted in, outward. The function meant is the one without
            rounding of its own.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, or
            a parameter is not finite.
        """
        from fastrelu.exact.lipschitz import lipschitz

        return lipschitz(cast("Network", self), bounds, norm, seed)

    def output_bounds(
        self, lower: ArrayLike, upper: ArrayLike, *, rounding: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a box that the outputs are certain to be in, for inputs in a box.

        Parameters
        ----------
        lower, upper : array_like, (d_in,)
            The least and the greatest value of each input, as X is given (before ``scale``).
        rounding : bool
            True: the box is one for the numbers that ``net(X)`` gives, every rounding of its
            arithmetic included; of a single point it is that point's outputs. False: for the
            function of real numbers, which is what most verifiers bound; computed outputs can lie
            outside.

        Returns
        -------
        lower, upper : ndarray, (d_out,)
            float64 (with roundings numbers of the network's dtype), the same bits on every machine.
            By interval arithmetic, tightened by linear
            relaxation layer by layer; docs/bounds.md has the derivation.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or a number of the network's dtype may overflow in the box.
        """
        from fastrelu.exact.bounds import output_bounds

        return output_bounds(cast("Network", self), lower, upper, rounding)

    def to_milp(
        self,
        path: Any,
        bounds: ArrayLike,
        output: int = 0,
        sense: Literal["max", "min"] = "max",
    ) -> None:
        """Write the network over a box as a mixed-integer linear program.

        Its optimum is the greatest (least) value of one output; constraints of your own can be
        added to the file.

        Parameters
        ----------
        path : path-like
            A file in (CPLEX) LP format, which HiGHS, SCIP, Gurobi and others read; replaced only
            once the new one is whole. The inputs are x0, x1, ..., the outputs y0, y1, ....
        bounds : array_like, (d_in, 2)
            One (low, high) for each input.
        output : int
            Which output is the objective.
        sense : {"max", "min"}
            Of the objective.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, or
            a parameter is not finite.
        OSError
            If the file cannot be written.

        Notes
        -----
        One binary variable for each hidden unit whose sign the box leaves open. Numbers are written
        with all their digits; the network meant is the one of real numbers (a ``scale`` is
        multiplied into the first layer, in float64). Variables of unusual sizes are in units of
        their own, named in the file's first lines (an input as ``x0 = middle + unit t0``), as
        solvers take small numbers for 0; terms below 1e-9 that are left are left out, and a line
        says what that may change.
        """
        from fastrelu.exact.milp import to_milp

        to_milp(cast("Network", self), path, bounds, output, sense)
