# SPDX-License-Identifier: BSD-3-Clause
"""The methods of Network that search a box of inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from fastrelu.exact.optimum import Optimum, Verification
    from fastrelu.exact.polytopes import Regions
    from fastrelu.exact.shape import ShapeVerification
    from fastrelu.network import Network


class OptimumMethods:
    """The methods that Network inherits from here; their docstrings address Network's users."""

    def maximize(
        self,
        bounds: ArrayLike | None = None,
        output: int = 0,
        time_limit: float | None = None,
        *,
        gap: float = 1e-4,
        ball: tuple[ArrayLike, float] | None = None,
    ) -> Optimum:
        """Find the greatest value of an output in a box, and a bound that no output is above.

        Parameters
        ----------
        bounds : array_like, (d_in, 2), or None
            One (low, high) for each input, low <= high, in the units of X (before ``scale``). None
            with a `ball` alone.
        output : int
            The output to maximise, counted from 0.
        time_limit : float, optional
            Seconds after which the search ends with what it has; by default it goes on until the
            gap is reached, or the boxes that are left take a gibibyte.
        gap : float
            The search ends when ``bound - value`` is at most `gap` times ``|value|``, or times a
            hundredth of the width of `output_bounds`, if that is more.
        ball : (array_like, (d_in,), float), optional
            The center and the radius of a ball in the Euclidean norm that the inputs are in, too;
            the center must be in the box.

        Returns
        -------
        Optimum
            `.x`, `.value`, `.bound`, `.status`, `.gap`, `.n_boxes`, `.seconds`. The value is that
            of ``net(x)`` to the bit, and the bound holds for the numbers that ``net(X)`` computes,
            with every rounding of its arithmetic, as that of `output_bounds` does. A search that
            ends by its gap has the same bits with any number of threads, on every machine.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or a number of the network's dtype may overflow in the box.

        Notes
        -----
        Branch and bound: the box is halved, again and again, along the input that has most to do
        with the looseness of the bound; docs/bounds.md has measurements. That serves networks of
        few inputs, some ten at most in wide boxes, and of more in small ones.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> best = net.maximize([(-1, 1), (-3, 2)])
        >>> best.x, best.value, best.status
        (array([ 1., -3.]), 4.0, 'optimal')
        >>> best.value <= best.bound <= best.value * (1 + 1e-4)
        True
        >>> round(net.maximize(ball=([2, 0], 1)).value, 3)  # 2 x1 there, at (3, 0)
        6.0
        """
        from fastrelu.exact.optimum import optimum

        return optimum(cast("Network", self).copy(), bounds, output, time_limit, gap, ball, 1.0)

    def minimize(
        self,
        bounds: ArrayLike | None = None,
        output: int = 0,
        time_limit: float | None = None,
        *,
        gap: float = 1e-4,
        ball: tuple[ArrayLike, float] | None = None,
    ) -> Optimum:
        """Find the least value of an output in a box, and a bound that no output is below.

        Parameters
        ----------
        bounds : array_like, (d_in, 2), or None
            One (low, high) for each input, low <= high, in the units of X (before ``scale``). None
            with a `ball` alone.
        output : int
            The output to minimise, counted from 0.
        time_limit : float, optional
            Seconds after which the search ends with what it has.
        gap, ball
            As for `maximize`.

        Returns
        -------
        Optimum
            As of `maximize`; its bound is at most its value.

        Raises
        ------
        TypeError, ValueError
            As `maximize`.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> best = net.minimize([(1, 2), (-3, 2)])
        >>> best.value, best.status
        (2.0, 'optimal')
        """
        from fastrelu.exact.optimum import optimum

        return optimum(cast("Network", self).copy(), bounds, output, time_limit, gap, ball, -1.0)

    def verify(
        self,
        bounds: ArrayLike | None,
        property: Any,
        time_limit: float | None = None,
        *,
        ball: tuple[ArrayLike, float] | None = None,
    ) -> Verification:
        """Say whether a property of the outputs holds for every input in a box.

        Parameters
        ----------
        bounds : array_like, (d_in, 2), or None
            One (low, high) for each input, low <= high, in the units of X (before ``scale``). None
            with a `ball` alone.
        property : (c, d) or int
            A pair stands for the inequality ``c @ net(x) <= d``: c is (d_out,) and d a number; or
            for several of them: c is (n, d_out) and d (n,) or a number. A whole number k stands for
            "class k wins": output k is greater than every other.
        time_limit : float, optional
            Seconds after which what is still open is unknown.
        ball
            As for `maximize`.

        Returns
        -------
        Verification
            `.status` is "holds", "fails" or "unknown"; as a condition it is true where the property
            holds. `.x` and `.outputs` are a counterexample, whose sums are checked by rational
            arithmetic. `.bounds` has what was proved of each ``c @ net(x)``, of the difference as
            such where c has several terms. All is about the numbers that ``net(x)`` computes.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or a number of the network's dtype may overflow in the box.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> net.verify([(-1, 1), (-3, 2)], ([1], 4.5)).status
        'holds'
        >>> result = net.verify([(-1, 1), (-3, 2)], ([1], 3.5))
        >>> result.status, result.outputs
        ('fails', array([4.]))
        """
        from fastrelu.exact.optimum import verify

        return verify(cast("Network", self).copy(), bounds, property, time_limit, ball)

    def regions(self, bounds: ArrayLike, *, max_regions: int = 100_000) -> Regions:
        """Return the network's linear regions in a box of one to six inputs, as polytopes.

        Parameters
        ----------
        bounds : array_like, (d_in, 2)
            One (low, high) for each input, low < high, in the units of X (before ``scale``).
        max_regions : int
            The most regions to make.

        Returns
        -------
        Regions
            Polytopes that fill the box, each with the pattern of its active units, its affine map,
            corners, half-spaces and neighbours, in a defined order. A corner that polytopes share
            is the same in each of them. All is computed in float64 from the present parameters; a
            unit counts as 0 at a corner where it is within some roundings of 0 there, so slivers
            thinner than that are not told apart. For two inputs `linear_regions` is much faster.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, there are more than six inputs or `max_regions` regions, an
            activation is none of relu, leaky_relu and identity, or a parameter is not finite.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([3, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1], [0, 0]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> regions = net.regions([(-1, 1)] * 3)
        >>> len(regions), regions.A[:, 0].tolist()
        (4, [[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
        >>> sorted(regions.neighbours[0].tolist())  # two regions, and three sides of the box
        [-1, -1, -1, 1, 2]
        """
        from fastrelu.exact.polytopes import regions

        return regions(cast("Network", self).copy(), bounds, max_regions)

    def derivative_bounds(
        self, bounds: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds on every partial derivative of the outputs over a box of inputs.

        Parameters
        ----------
        bounds : array_like, (d_in, 2)
            One (low, high) for each input, low <= high, in the units of X (before ``scale``).

        Returns
        -------
        lower, upper : ndarray, (d_out, d_in)
            float64. ``net.jacobian(x)`` as exact arithmetic has it is between them at every x of
            the box; at a kink, the Jacobians on all of its sides are. Where `lower` is at least 0,
            the output does not fall when the input rises.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or numbers overflow float64.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> lower, upper = net.derivative_bounds([(1, 2), (-3, 0)])
        >>> lower.round(6), upper.round(6)
        (array([[ 1., -1.]]), array([[2., 0.]]))
        """
        from fastrelu.exact.derivatives import derivative_bounds

        return derivative_bounds(cast("Network", self).copy(), bounds)

    def verify_shape(
        self,
        bounds: ArrayLike,
        shape: str,
        *,
        input: int | None = None,
        output: int = 0,
        time_limit: float | None = None,
    ) -> ShapeVerification:
        """Say whether an output rises, falls, or is convex or concave in all of a box.

        Parameters
        ----------
        bounds : array_like, (d_in, 2)
            One (low, high) for each input, low <= high, in the units of X (before ``scale``).
        shape : {"increasing", "decreasing", "convex", "concave"}
            What is asked. "increasing" is meant in the wide sense: the output does not fall.
        input : int, optional
            The input along which the output is to rise or fall, counted from 0; by default along
            each.
        output : int
            The output, counted from 0.
        time_limit : float, optional
            Seconds after which what is still open is unknown; so it is after 20,000 boxes.

        Returns
        -------
        ShapeVerification
            `.status` is "holds", "fails" or "unknown"; as a condition it is true where the property
            holds. `.points` is a counterexample, checked in rational arithmetic. All is about the
            function of real numbers that the network stands for: computed outputs can be some
            roundings off. With ``net.lipschitz(bounds)`` a bound on the slope is certified.

        Raises
        ------
        TypeError, ValueError
            As `derivative_bounds`.

        Notes
        -----
        Boxes are halved until `derivative_bounds` settles each: of a convex function every unit
        that can switch in a box must have an effect that is at least 0 there. That is enough, not
        necessary: where two units switch on one line and their bends cancel in part, it may stay
        unknown.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> net.verify_shape([(-1, 1), (-1, 1)], "convex").status
        'holds'
        >>> bool(net.verify_shape([(-1, 1), (-1, 1)], "increasing", input=0))
        True
        >>> net.verify_shape([(-1, 1), (-1, 1)], "increasing", input=1).status
        'fails'
        """
        from fastrelu.exact.shape import verify_shape

        return verify_shape(cast("Network", self).copy(), bounds, shape, input, output, time_limit)
