# SPDX-License-Identifier: BSD-3-Clause
"""Piecewise-linear functions of one variable, and networks that are equal to them."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import real_number, reals
from fastrelu.exact.nearness import BLOCK, are_equal, needed_knots

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["PiecewiseLinear"]


class PiecewiseLinear:
    """A continuous piecewise-linear function of one variable.

    It is linear between neighbouring knots, and has the outer slopes outside them.

    Parameters
    ----------
    knots : array_like, (K,)
        The x at which the function may bend: finite, ascending, all different; K >= 1.
    values : array_like, (K,) or (K, d_out)
        The values at the knots; a second axis makes a function with d_out outputs.
    left_slope, right_slope : float or array_like, (d_out,)
        The slopes left of the first knot and right of the last.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or a slope overflows float64.

    Attributes
    ----------
    knots : ndarray, (K,)
        Read-only float64 copy of the argument.
    values : ndarray, (K,) or (K, d_out)
        Read-only float64 copy of the argument.
    left_slope, right_slope : ndarray, () or (d_out,)
        Read-only float64 copies of the arguments.
    slopes : ndarray, (K + 1,) or (K + 1, d_out)
        The slope of each piece, from left to right.
    hinges : ndarray, (K,) or (K, d_out)
        How much the slope changes at each knot.

    Notes
    -----
    Functions can be added, subtracted and multiplied by numbers; ``f == g`` says whether two
    functions agree everywhere up to a few roundings, even if their knots differ.

    Examples
    --------
    >>> from fastrelu import PiecewiseLinear
    >>> f = PiecewiseLinear([0, 1, 3], [0, 2, 2])  # a ramp from 0 to 2, level on both sides
    >>> f([-1.0, 0.5, 2.0])
    array([0., 1., 2.])
    >>> f.slopes, f.hinges
    (array([0., 2., 0., 0.]), array([ 2., -2.,  0.]))
    >>> f == PiecewiseLinear([0, 1], [0, 2]), (1 - 2 * f)(0.5).item()
    (True, -1.0)
    """

    __hash__ = None  # type: ignore[assignment]
    # NumPy's own arrays leave `array * f` to us.
    __array_ufunc__ = None

    def __init__(
        self,
        knots: ArrayLike,
        values: ArrayLike,
        left_slope: ArrayLike = 0.0,
        right_slope: ArrayLike = 0.0,
    ) -> None:
        self.knots = reals("knots", knots)
        if self.knots.ndim != 1 or len(self.knots) == 0:
            raise ValueError(f"knots: expected shape (K,), K >= 1, got {self.knots.shape}")
        falling = np.flatnonzero(~(self.knots[1:] > self.knots[:-1]))
        if len(falling):
            first, second = self.knots[falling[0]], self.knots[falling[0] + 1]
            raise ValueError(
                f"knots: expected ascending numbers, all different, got {second:g} after {first:g}"
            )
        self.values = reals("values", values)
        if self.values.ndim not in (1, 2) or len(self.values) != len(self.knots):
            raise ValueError(
                f"values: expected shape ({len(self.knots)},) or ({len(self.knots)}, d_out), "
                f"got {self.values.shape}"
            )
        if self.values.size == 0:
            raise ValueError(f"values: expected d_out >= 1, got shape {self.values.shape}")
        self.left_slope = self._outer("left_slope", left_slope)
        self.right_slope = self._outer("right_slope", right_slope)
        with np.errstate(over="ignore", invalid="ignore"):
            inner = (np.diff(self.values, axis=0).T / np.diff(self.knots)).T
            self.slopes = np.concatenate([self.left_slope[None], inner, self.right_slope[None]])
            self.hinges = np.diff(self.slopes, axis=0)
        if not np.isfinite(self.hinges).all():
            raise ValueError("knots, values: the slope between two neighbours overflows float64")
        for array in (self.knots, self.values, self.left_slope, self.right_slope,
                      self.slopes, self.hinges):  # fmt: skip
            array.flags.writeable = False

    def _outer(self, name: str, slope: ArrayLike) -> Array:
        array = reals(name, slope)
        shape = self.values.shape[1:]
        if array.shape not in ((), shape):
            raise ValueError(f"{name}: expected a number or shape {shape}, got {array.shape}")
        return np.broadcast_to(array, shape).copy()

    def __call__(self, x: ArrayLike) -> Array:
        """Return the function's values at given points.

        Parameters
        ----------
        x : array_like
            Finite numbers, in any shape.

        Returns
        -------
        ndarray, x.shape or x.shape + (d_out,)
            float64; at a knot exactly its value.

        Raises
        ------
        TypeError, ValueError
            If x is not made of finite real numbers.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> f = PiecewiseLinear([0, 1], [[0, 1], [2, 1]])  # two outputs
        >>> f([0.5, 1.0])
        array([[1., 1.],
               [2., 1.]])
        """
        x = reals("x", x)
        blocks = range(0, max(1, x.size), BLOCK)  # between two, Python handles signals
        found = [self._at(x.reshape(-1)[at : at + BLOCK]) for at in blocks]
        return np.concatenate(found).reshape(x.shape + self.values.shape[1:])

    def _at(self, x: Array) -> Array:  # points (n,)
        piece = np.searchsorted(self.knots, x, side="right")
        # From the nearer end of the piece: there the rounding of its slope counts least.
        left = self.knots[np.maximum(piece - 1, 0)]
        right = self.knots[np.minimum(piece, len(self.knots) - 1)]
        from_right = (piece < len(self.knots)) & ((piece == 0) | (right - x < x - left))
        anchor = np.where(from_right, piece, piece - 1)
        distance = x - self.knots[anchor]
        if self.values.ndim == 2:
            distance = distance[..., None]
        return np.asarray(self.values[anchor] + self.slopes[piece] * distance)

    def derivative(self, x: ArrayLike) -> Array:
        """Return the function's slope at given points.

        Parameters
        ----------
        x : array_like
            Finite numbers, in any shape.

        Returns
        -------
        ndarray, x.shape or x.shape + (d_out,)
            float64; at a knot the slope of the piece to its right.

        Raises
        ------
        TypeError, ValueError
            If x is not made of finite real numbers.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> f = PiecewiseLinear([0, 1], [0, 2])
        >>> f.derivative([-0.5, 0.0, 0.5, 1.0])
        array([0., 2., 2., 0.])
        """
        return np.asarray(self.slopes[np.searchsorted(self.knots, reals("x", x), side="right")])

    def integrate(self, a: float, b: float) -> Any:
        """Return the function's integral from a to b.

        Parameters
        ----------
        a, b : float
            The limits, finite. If b < a, the integral is minus that from b to a.

        Returns
        -------
        float or ndarray, (d_out,)
            The integral; one number for each output if `values` has two axes.

        Raises
        ------
        TypeError, ValueError
            If a limit is not a finite number.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> f = PiecewiseLinear([0, 1], [0, 2])
        >>> f.integrate(0, 3)
        5.0
        """
        a, b = real_number("a", a), real_number("b", b)
        low, high = min(a, b), max(a, b)
        inside = self.knots[(self.knots > low) & (self.knots < high)]
        ends = np.concatenate([[low], inside, [high]])
        heights = self(ends)
        total = np.tensordot(np.diff(ends), (heights[1:] + heights[:-1]) / 2, axes=1)
        total = -total if b < a else total
        return float(total) if total.ndim == 0 else total

    def lipschitz(self) -> float:
        """Return the least L with ``|f(x) - f(y)| <= L |x - y|`` for all x and y.

        Returns
        -------
        float
            The largest slope; with several outputs the largest Euclidean norm of a piece's slopes.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> PiecewiseLinear([0, 1], [0, -2]).lipschitz()
        2.0
        """
        slopes = self.slopes.reshape(len(self.slopes), -1)
        return float(np.linalg.norm(slopes, axis=1).max())

    def simplify(self, tol: float = 0.0) -> PiecewiseLinear:
        """Return a function with fewer knots that differs from this one nowhere by more than `tol`.

        Parameters
        ----------
        tol : float
            The largest difference allowed in any output, >= 0. Differences of a few roundings of
            the values near by are allowed in any case.

        Returns
        -------
        PiecewiseLinear
            Its knots and values are some of this function's; its outer slopes are the same.

        Raises
        ------
        TypeError, ValueError
            If `tol` is not a finite number >= 0.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> f = PiecewiseLinear([0, 1, 2, 3], [0, 1, 2, 2])
        >>> f.simplify().knots
        array([0., 2.])
        """
        kept = needed_knots(self, real_number("tol", tol, 0.0))
        return PiecewiseLinear(
            self.knots[kept], self.values[kept], self.left_slope, self.right_slope
        )

    def compose(self, inner: PiecewiseLinear) -> PiecewiseLinear:
        """Return the function ``x -> self(inner(x))``.

        Parameters
        ----------
        inner : PiecewiseLinear
            A function with one output.

        Returns
        -------
        PiecewiseLinear
            Its knots are those of `inner`, and the x that `inner` maps to knots of this function.

        Raises
        ------
        TypeError, ValueError
            If `inner` is not a PiecewiseLinear with one output, or a slope overflows float64.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> square = PiecewiseLinear([-1, 0, 1], [1, 0, 1], left_slope=-1, right_slope=1)  # |x|
        >>> hinge = PiecewiseLinear([2], [0], right_slope=1)  # max(0, x - 2)
        >>> hinge.compose(square)([-5.0, 1.0, 4.0])
        array([3., 0., 2.])
        """
        if not isinstance(inner, PiecewiseLinear):
            raise TypeError(f"inner: expected a PiecewiseLinear, got {type(inner).__name__}")
        if inner.values.size != len(inner.knots):
            raise ValueError(f"inner: expected one output, got values {inner.values.shape}")
        heights, slopes = inner.values.reshape(-1), inner.slopes.reshape(-1)
        points, values = [inner.knots], [self(heights)]
        edges = np.concatenate([[-np.inf], inner.knots, [np.inf]])
        for piece, slope in enumerate(slopes):
            if slope == 0:
                continue
            anchor = max(piece - 1, 0)
            with np.errstate(over="ignore"):
                x = inner.knots[anchor] + (self.knots - heights[anchor]) / slope
            inside = (x > edges[piece]) & (x < edges[piece + 1]) & np.isfinite(x)
            points.append(x[inside])
            values.append(self.values[inside])
        knots, which = np.unique(np.concatenate(points), return_index=True)
        outer = {1.0: self.right_slope, -1.0: self.left_slope, 0.0: 0.0 * self.left_slope}
        return PiecewiseLinear(
            knots,
            np.concatenate(values)[which],
            outer[-np.sign(slopes[0])] * slopes[0],
            outer[np.sign(slopes[-1])] * slopes[-1],
        )

    def __add__(self, other: Any) -> PiecewiseLinear:
        if isinstance(other, numbers.Real):
            shift = real_number("other", other)
            return PiecewiseLinear(
                self.knots, self.values + shift, self.left_slope, self.right_slope
            )
        if not isinstance(other, PiecewiseLinear):
            return NotImplemented
        knots = common_knots(self, other)
        return PiecewiseLinear(
            knots,
            self(knots) + other(knots),
            self.left_slope + other.left_slope,
            self.right_slope + other.right_slope,
        )

    __radd__ = __add__

    def __mul__(self, factor: Any) -> PiecewiseLinear:
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        k = real_number("factor", factor)
        return PiecewiseLinear(
            self.knots, k * self.values, k * self.left_slope, k * self.right_slope
        )

    __rmul__ = __mul__

    def __neg__(self) -> PiecewiseLinear:
        return self * -1.0

    def __sub__(self, other: Any) -> PiecewiseLinear:
        return NotImplemented if not isinstance(other, _OPERANDS) else self + -other

    def __rsub__(self, other: Any) -> PiecewiseLinear:
        return NotImplemented if not isinstance(other, numbers.Real) else -self + other

    def __eq__(self, other: object) -> bool:
        """Whether both are one function up to a few roundings, whatever their knots.

        The roundings are those of the values near by: what is large elsewhere allows for nothing.
        """
        if not isinstance(other, PiecewiseLinear):
            return NotImplemented
        if self.values.shape[1:] != other.values.shape[1:]:
            return False
        return are_equal(self, other)

    def __repr__(self) -> str:
        outputs = "" if self.values.ndim == 1 else f", {self.values.shape[1]} outputs"
        span = f"{self.knots[0]:g} to {self.knots[-1]:g}"
        return f"<fastrelu.PiecewiseLinear {len(self.knots)} knots, {span}{outputs}>"

    def to_network(self, dtype: Any = "float64") -> Network:
        """Return a network with one hidden layer that equals this function.

        Parameters
        ----------
        dtype : dtype
            The network's dtype: float64, or float32, to which knots and values are then rounded.

        Returns
        -------
        Network
            Its layer sizes are 1-K-d_out if some piece is flat in all outputs, else 1-(K +
            1)-d_out. Each hinge lies exactly on its knot. If knots, slopes and x are dyadic (whole
            numbers divided by powers of 2) and no intermediate number needs more bits than the
            dtype has, its outputs have no rounding at all.

        Raises
        ------
        ValueError
            If a number overflows, or two knots become one, in `dtype`.

        References
        ----------
        Arora, Basu, Mianjy and Mukherjee (2018), Understanding deep neural networks with rectified
        linear units, proves that one hidden layer is enough. docs/piecewise.md describes this
        construction.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> f = PiecewiseLinear([0, 1], [0, 2])
        >>> net = f.to_network()
        >>> net
        <fastrelu.Network 1-2-1 float64, 7 parameters>
        >>> net([[0.25], [3.0]]).ravel()
        array([0.5, 2. ])
        """
        from fastrelu.exact.hinge_network import hinge_network

        return hinge_network(self, dtype)

    @classmethod
    def fit(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        n_hinges: int | str | None = None,
        knots: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        through: Any = None,
        outer_slopes: Any = None,
    ) -> PiecewiseLinear:
        """Fit a function to points by least squares, with free knots and free outer slopes.

        Parameters
        ----------
        x, y : array_like, (n,)
            The points, in any order; several may have the same x. x may be dates (datetime64),
            which are days since 1970-01-01. With `knots`, y may also have shape (n, K).
        n_hinges : int or {"bic", "cv"}
            The number of knots, >= 1; or how it is chosen among 1 to 10: see
            `fastrelu.exact.choose_hinges`.
        knots : array_like, (k,)
            Instead of `n_hinges`: the knots, in ascending order; values and slopes alone are
            fitted.
        sample_weight : array_like, (n,), optional
            The points' weights in the sum of squares, >= 0; those above 0 within a factor of 1e12.
        through : (array_like, array_like), optional
            x and y of points that the function must go through.
        outer_slopes : (float or None, float or None), optional
            The slope before the first and after the last knot, where given.

        Returns
        -------
        PiecewiseLinear
            It has `n_hinges` knots. If x has at most ``n_hinges + 2`` different values it has
            fewer, and goes through the (weighted) mean y of each of them. The same points give the
            same bits on every machine.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or the points do not determine a value or slope of the
            given knots.

        Warns
        -----
        UserWarning
            If more than 250 hinges may take minutes.

        Notes
        -----
        The sum of squares has many local minima. The search picks the best knots among some hundred
        places, then refines them until neither a joint step nor a move of one knot lowers it. With
        up to 12 different x, or up to 3 hinges and 256 different x, the sum of squares is the least
        of all; beyond, nothing guarantees that, nor with `through` or `outer_slopes`. The time
        grows about with the square of the hinges, hardly with the points. Ctrl-C ends a fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import PiecewiseLinear
        >>> x = np.linspace(0, 1, 21)
        >>> f = PiecewiseLinear.fit(x, np.abs(x - 0.3), n_hinges=1)
        >>> f.knots.round(6), f.slopes.round(6)
        (array([0.3]), array([-1.,  1.]))
        >>> PiecewiseLinear.fit(x, np.abs(x - 0.5), knots=[0.5]).slopes.round(6)
        array([-1.,  1.])
        """
        from fastrelu.exact.hinge_fit import fit_hinges

        given = (through, outer_slopes)
        return cls(*fit_hinges(x, y, n_hinges, knots, sample_weight, *given))


_OPERANDS = (PiecewiseLinear, numbers.Real)


def common_knots(f: PiecewiseLinear, g: PiecewiseLinear) -> Array:
    """Return the knots of both functions; raise ValueError if their outputs differ in number."""
    if f.values.shape[1:] != g.values.shape[1:]:
        raise ValueError(
            f"f, g: expected functions with equally many outputs, got values of shape "
            f"{f.values.shape} and {g.values.shape}"
        )
    return np.union1d(f.knots, g.knots)
