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
    """The methods that Network inherits from here; their docstrings address Network's users."""

    def local_affine(self, X: ArrayLike) -> LocalAffine:
        """Return the affine map that equals the network around each row.

        Parameters
        ----------
        X : array_like, (n, d_in) or (d_in,)
            Rows, or one row; dense and finite.

        Returns
        -------
        LocalAffine
            Unpacks as ``A, c``, both float64. For rows, A is (n, d_out, d_in) and c is (n, d_out);
            for one row, (d_out, d_in) and (d_out,). ``net(x') = A x' + c`` wherever the same hidden
            units are active as at the row. ``.pattern``, bool, (n, n_hidden) or (n_hidden,), says
            which units those are.

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or an activation is none of relu, leaky_relu and identity.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> A, c = net.local_affine([3.0, 1.0])
        >>> A, c
        (array([[2., 0.]]), array([0.]))
        >>> net.local_affine([1.0, 3.0]).pattern
        array([ True, False])
        """
        from fastrelu.exact.segment import local_affine

        return local_affine(cast("Network", self).copy(), X)

    def along(self, x0: ArrayLike, x1: ArrayLike) -> PiecewiseLinear:
        """Return ``t -> net(x0 + t (x1 - x0))`` as an exact piecewise-linear function.

        Parameters
        ----------
        x0, x1 : array_like, (d_in,)
            The ends of the segment: x0 at t = 0, x1 at t = 1.

        Returns
        -------
        PiecewiseLinear
            Its knots are 0, 1 and every t in between at which the segment crosses the kink of a
            hidden unit, whether or not the outputs bend there (``.simplify()`` drops the knots at
            which they do not). Its values are (n_knots, d_out). It equals the network for t in
            [0, 1]; outside, the first and the last piece are continued. All is computed in float64
            from the present parameters.

        Raises
        ------
        TypeError, ValueError
            If a point does not fit, or an activation is none of relu, leaky_relu and identity.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> path = net.along([1.0, -2.0], [1.0, 2.0])
        >>> path.knots
        array([0.  , 0.25, 0.75, 1.  ])
        >>> path.values.ravel()
        array([3., 2., 2., 3.])
        """
        from fastrelu.exact.segment import along

        return along(cast("Network", self), x0, x1)

    def to_piecewise_linear(self) -> PiecewiseLinear:
        """Return a network with one input as a piecewise-linear function on the whole line.

        Returns
        -------
        PiecewiseLinear
            Its knots are 0 and every x at which a hidden unit has its kink (``.simplify()`` drops
            those at which no output bends); its values are (n_knots, d_out). In float64; kinks
            nearer together than some roundings count as one.

        Raises
        ------
        ValueError
            If the network has several inputs, an activation is none of relu, leaky_relu and
            identity, a parameter is not finite, or numbers overflow float64.

        Examples
        --------
        >>> from fastrelu import PiecewiseLinear
        >>> f = PiecewiseLinear([2, 3], [0, 1], right_slope=4)
        >>> f.to_network().to_piecewise_linear().knots
        array([0., 2., 3.])
        """
        from fastrelu.exact.segment import whole_line

        return whole_line(cast("Network", self).copy())

    def linear_regions(
        self,
        window: ArrayLike,
        *,
        origin: ArrayLike | None = None,
        u: ArrayLike | None = None,
        v: ArrayLike | None = None,
        max_regions: int = 1_000_000,
    ) -> LinearRegions:
        """Return the network's exact linear regions on a plane through the input space.

        Parameters
        ----------
        window : (float, float, float, float)
            The part of the plane: s from, s to, t from, t to, of the points
            ``x = origin + s u + t v``.
        origin, u, v : array_like, (d_in,), optional
            A point of the plane and its two directions. For a network with two inputs the default
            is the plane of these inputs: origin 0, s the first input, t the second. With any other
            number of inputs, u and v must be given; origin is 0 by default.
        max_regions : int
            The most regions to make, at most 2**30. Memory grows with their number times the width
            of the widest layer.

        Returns
        -------
        LinearRegions
            Convex polygons that fill the window. Each has the pattern of its active units and its
            affine map in s and t. The result has the same bits and the same order on every machine:
            each hidden layer cuts the polygons of the layer before it, unit by unit, and the parts
            take the place of their polygon, the part where the unit is active first. All is
            computed in float64 from the present parameters. A unit counts as 0 where it is within
            some roundings of the numbers that it is computed from there; what is large in one place
            of the window hides nothing in another.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or there are more than `max_regions` regions.

        References
        ----------
        Montufar, Pascanu, Cho and Bengio (2014), On the number of linear regions of deep neural
        networks, counts such regions.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> regions = net.linear_regions((-1, 1, -1, 1))
        >>> len(regions), regions.areas.tolist()
        (4, [1.0, 1.0, 1.0, 1.0])
        >>> regions.pattern.tolist()
        [[True, True], [True, False], [False, True], [False, False]]
        >>> regions.A[:, 0].tolist()
        [[2.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]
        """
        from fastrelu.exact.regions import linear_regions

        return linear_regions(cast("Network", self).copy(), window, origin, u, v, max_regions)

    def lipschitz(
        self, bounds: ArrayLike | None = None, norm: Any = 2, *, seed: int = 0
    ) -> tuple[float, float]:
        """Return a lower and an upper bound on the network's Lipschitz constant.

        That is the least L with ``|net(x) - net(x')| <= L |x - x'|`` for all x and x'.

        Parameters
        ----------
        bounds : array_like, (d_in, 2), optional
            One (low, high) for each input, low < high: the box that x and x' are in. By default
            they may be anywhere.
        norm : {1, 2, inf}
            The norm of both the inputs and the outputs.
        seed : int
            Seed of the points at which the search for the lower bound starts, 0 to 2**64 - 1; it
            matters with three or more inputs.

        Returns
        -------
        lower, upper : float
            With one or two inputs both come from the linear regions and differ by roundings only.
            Where kinks are so near together that roundings decide about regions, what may be
            between them is counted in `upper`, and told apart by exact arithmetic as far as a limit
            on its work allows. With three or more inputs, or
            more than a million regions, `lower` is the norm of the Jacobian of a region that
            sampling and local search found, and `upper` is the least of several bounds from the
            layers' matrices; `bounds` tightens it where units cannot switch in the box. Both bounds
            are widened by all roundings of their computation. They hold for the function of real
            numbers that the network stands for, not for its computed outputs.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, or
            a parameter is not finite.

        References
        ----------
        Combettes and Pesquet (2020), Lipschitz certificates for layered network structures driven
        by averaged activation operators, has the bound from the layers' matrices.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> lower, upper = net.lipschitz()
        >>> round(lower, 6), round(upper, 6)
        (2.0, 2.0)
        >>> lower, upper = net.lipschitz([(0, 1), (2, 3)])  # there, only the first unit is active
        >>> round(lower, 6), round(upper, 6)
        (1.414214, 1.414214)
        """
        from fastrelu.exact.lipschitz import lipschitz

        return lipschitz(cast("Network", self).copy(), bounds, norm, seed)

    def output_bounds(
        self,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        *,
        rounding: bool = True,
        sums: ArrayLike | None = None,
        ball: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a box that certainly contains the outputs for every input in a box.

        Parameters
        ----------
        lower, upper : array_like, (d_in,) or (n, d_in)
            The least and the greatest value of each input, in the units of X (before ``scale``); of
            one box, or of n boxes, which are shared out over the threads.
        rounding : bool
            True: the box holds for the numbers that ``net(X)`` computes, with every rounding of its
            arithmetic; for a single point it is exactly that point's outputs. False: it holds for
            the function of real numbers, which is what most verifiers bound; computed outputs can
            then lie outside.
        sums : array_like, (d_out,) or (m, d_out), optional
            Bounds on these sums of the outputs instead, each ``sums[s] @ outputs`` as exact
            arithmetic has it: (1, -1) is the margin of the first output over the second. They are
            mostly tighter than sums of bounds.
        ball : (array_like, (d_in,), float), optional
            The center and the radius of a ball in the Euclidean norm that the inputs are in, too,
            or instead of a box; centers of shape (n, d_in) and radii (n,) or a number for n of
            them. A center must be in its box.

        Returns
        -------
        lower, upper : ndarray, (d_out,) or (n, d_out)
            float64, with the same bits on every machine. With ``rounding=True`` they are numbers of
            the network's dtype. With `sums` the last axis is m, or there is none.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, a
            parameter is not finite, or a number of the network's dtype may overflow in the box.

        Notes
        -----
        Interval arithmetic, tightened layer by layer by linear relaxation; docs/bounds.md derives
        it.

        References
        ----------
        Zhang, Weng, Chen, Hsieh and Daniel (2018), Efficient neural network robustness
        certification with general activation functions.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> lower, upper = net.output_bounds([2, 0], [3, 1])
        >>> lower.round(6), upper.round(6)
        (array([4.]), array([6.]))
        >>> net.output_bounds([[2, 0], [0, 0]], [[3, 1], [1, 0]])[1].round(6)
        array([[6.],
               [2.]])
        >>> net.output_bounds(ball=([2, 0], 1))[1].round(6)  # 2 x1 in a disc
        array([6.])
        """
        from fastrelu.exact.bounds import output_bounds

        return output_bounds(cast("Network", self), lower, upper, rounding, sums, ball)

    def layer_bounds(
        self,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        *,
        rounding: bool = True,
        ball: tuple[ArrayLike, float] | None = None,
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return boxes that certainly contain every layer's pre-activations over a box of inputs.

        Parameters
        ----------
        lower, upper : array_like, (d_in,)
            The least and the greatest value of each input, in the units of X (before ``scale``).
        rounding, ball
            As for `output_bounds`.

        Returns
        -------
        list of (lower, upper), each ndarray, (fan_out,)
            One pair for each layer, float64; the last is what `output_bounds` returns. A hidden
            unit whose upper end is at most 0 never fires in the box, one whose lower end is above
            0 always does.

        Raises
        ------
        TypeError, ValueError
            As `output_bounds`.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> hidden, output = net.layer_bounds([2, 0], [3, 1])
        >>> hidden[0].round(6), hidden[1].round(6)
        (array([2., 1.]), array([4., 3.]))
        """
        from fastrelu.exact.bounds import pre_activation_bounds

        return pre_activation_bounds(cast("Network", self), lower, upper, rounding, ball)

    def to_milp(
        self,
        path: Any,
        bounds: ArrayLike,
        output: int = 0,
        sense: Literal["max", "min"] = "max",
    ) -> None:
        """Write the network over a box as a mixed-integer linear program.

        The optimum of the program is the greatest (or least) value of one output. You can add
        constraints of your own to the file.

        Parameters
        ----------
        path : path-like
            The file to write, in (CPLEX) LP format, which HiGHS, SCIP, Gurobi and others read. An
            existing file is replaced only once the new one is complete. In the program the inputs
            are x0, x1, ... and the outputs y0, y1, ....
        bounds : array_like, (d_in, 2)
            One (low, high) for each input, low <= high.
        output : int
            The output to optimise, counted from 0.
        sense : {"max", "min"}
            Whether to maximise or minimise it.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, an activation is none of relu, leaky_relu and identity, or
            a parameter is not finite.
        OSError
            If the file cannot be written.

        Notes
        -----
        The program has one binary variable for each hidden unit that the box does not fix as active
        or inactive. Numbers are written with all their digits. The program describes the function
        of real numbers that the network stands for; a ``scale`` is multiplied into the first layer,
        in float64. Variables of unusual sizes are in units of their own, which the first lines of
        the file name (an input as ``x0 = middle + unit t0``), as solvers take small numbers for 0.
        Terms below 1e-9 that are left are left out, and a line says what that may change.

        References
        ----------
        Tjeng, Xiao and Tedrake (2019), Evaluating robustness of neural networks with mixed integer
        programming, has the formulation.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "net.lp")
        ...     net.to_milp(path, bounds=[(2, 3), (-3, 1)])
        ...     lines = path.read_text().splitlines()
        >>> lines[3:5]
        ['Maximize', ' objective: y0']
        >>> lines[lines.index("Binaries") + 1 : -1]  # the first unit alone can switch
        [' d0_0']
        """
        from fastrelu.exact.milp import to_milp

        to_milp(cast("Network", self).copy(), path, bounds, output, sense)

    def to_program(
        self,
        bounds: ArrayLike,
        output: int | ArrayLike = 0,
        sense: Literal["max", "min"] = "max",
        *,
        backend: str = "highspy",
        prefix: str = "",
        model: Any = None,
    ) -> Any:
        """Return the program of `to_milp` as a model object of a solver or modelling package.

        Parameters
        ----------
        bounds : array_like, (d_in, 2)
            One (low, high) for each input, low <= high.
        output : int or array_like, (d_out,)
            The output to optimise, counted from 0; or a weight for each output: the objective is
            then their weighted sum.
        sense : {"max", "min"}
            Whether to maximise or minimise it.
        backend : {"highspy", "pyscipopt", "pyomo", "gurobipy"}
            The package, which has to be installed.
        prefix : str
            What the names of variables and constraints begin with, so that several networks fit in
            one model: letters, digits and underscores, no digit first.
        model : object, optional
            A model of that package to which the program is added, and its objective to the one that
            is there (`sense` is then that of the sum); by default a new one, which is silent.

        Returns
        -------
        highspy.Highs, pyscipopt.Model, pyomo.environ.ConcreteModel or gurobipy.Model
            The model. Its variables are named as in the file of `to_milp`: ``x0``, ``x1``, ... are
            the inputs and ``y0``, ``y1``, ... the outputs, behind the prefix. An output of unusual
            size is also there in units of its own, as ``sy0``; inputs and outputs below 1e-8 are
            there in such units alone (``t0``, ``sy0``). The objective is in the outputs' own units.

        Raises
        ------
        TypeError, ValueError
            As for `to_milp`; or if `backend` or `prefix` is not as described.
        ImportError
            If the package is not installed.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 2, 1], dtype="float64")
        >>> net.weights[0][...] = [[1, 1], [1, -1]]
        >>> net.weights[1][...] = 1  # net(x) = max(0, x1 + x2) + max(0, x1 - x2)
        >>> highs = net.to_program([(2, 3), (-3, 1)])
        >>> status = highs.run()
        >>> round(highs.getInfo().objective_function_value, 6)
        6.0
        """
        from fastrelu.exact.milp import program_of
        from fastrelu.exact.program_models import as_model

        program = program_of(cast("Network", self).copy(), bounds, output, sense)
        return as_model(program, backend, prefix, model)
