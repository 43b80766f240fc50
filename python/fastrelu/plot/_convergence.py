# SPDX-License-Identifier: BSD-3-Clause
"""SGD beside its bound, and the noise of its gradients."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from fastrelu.convergence import GradientNoise, Study, bound
from fastrelu.convergence._problem import draw_factor
from fastrelu.plot.axes import COLOURS, axes_or_new

# A bound with a smaller M is drawn as well where it is this much lower.
_CLEARLY = 0.8
_LARGEST = 1e200  # that is drawn


def convergence(study: Study, ax: Any = None, *, label: str | None = None) -> Any:
    """Draw the measured ``|w_k - w*|^2`` with its confidence limits, and the bound if it applies.

    Parameters
    ----------
    study : fastrelu.convergence.Study
        The result of ``fastrelu.convergence.study``.
    ax : matplotlib Axes, optional
        The axes to draw into, in the next colour beside what is there; by default those of a new
        figure.
    label : str, optional
        The name of the runs in the legend.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If `study` is something else.

    Notes
    -----
    Where the proven M is much larger than the measured one, the bound with the measured one is
    drawn as well. Where no bound applies, the picture says why.

    Examples
    --------
    >>> import fastrelu
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> study = fastrelu.convergence.study(X, y, alpha=1.0, n_steps=100, replicates=20)
    >>> ax = fastrelu.plot.convergence(study, label="four rows")
    >>> ax.get_xlabel(), ax.get_yscale()
    ('k', 'log')
    """
    if not isinstance(study, Study):
        raise TypeError(f"study: expected a fastrelu.convergence.Study, got {study!r}")
    ax = axes_or_new(ax)
    before = ax.get_ylim() if ax.lines else (np.inf, 0.0)
    colour = COLOURS[sum(line.get_linestyle() == "-" for line in ax.lines) % len(COLOURS)]
    k, shown = study.k, (study.d > 0) & (study.d < _LARGEST)
    if label is None:
        label = f"mean of {study.replicates} runs, {100 * study.confidence:g} % limits"
    if shown.any():
        low = np.maximum(study.d_low, 1e-3 * study.d[shown].min())
        high = np.minimum(study.d_high, _LARGEST)
        ax.fill_between(k, low, high, where=shown, color=colour, alpha=0.25, lw=0)
        ax.plot(k[shown], study.d[shown], "-", color=colour, lw=1.5, label=label)
    if study.bound is not None:
        ax.plot(k, study.bound, "--", color=colour, lw=2, label=f"bound, M = {study.M:.3g}")
        if study.M_measured < _CLEARLY * study.M:
            measured = bound(k, study.M_measured, study.ell)
            name = f"the same with the M measured, {study.M_measured:.3g}"
            ax.plot(k, measured, ":", color=colour, lw=2, label=name)
    else:
        text = "No bound: " + "; ".join(study.reasons) + "."
        ax.text(
            0.03, 0.03, textwrap.fill(text, 52), transform=ax.transAxes, fontsize="small",
            bbox={"facecolor": "white", "edgecolor": COLOURS[1], "alpha": 0.9},
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    # Limits of a mean reach down to 0 where runs differ much: no picture of anything.
    if shown.any():
        top = [study.d[shown].max(), *([] if study.bound is None else study.bound[:1])]
        ax.set_ylim(min(before[0], 0.3 * study.d[shown].min()), max(before[1], 3 * max(top)))
    ax.set_xlabel("k")
    ax.set_ylabel("$|w_k - w^*|^2$")
    ax.grid(True, which="major", alpha=0.25)
    ax.legend(frameon=False)
    return ax


def gradient_noise(noise: GradientNoise, ax: Any = None) -> Any:
    """Draw the measured variance of the stochastic gradient against the size of the minibatch.

    Parameters
    ----------
    noise : fastrelu.convergence.GradientNoise
        The result of ``fastrelu.convergence.gradient_noise``.
    ax : matplotlib Axes, optional
        The axes to draw into, in the next colour beside what is there; by default those of a new
        figure.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If `noise` is something else.

    Examples
    --------
    >>> import fastrelu
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> noise = fastrelu.convergence.gradient_noise(X, y, alpha=1.0, draws=100)
    >>> ax = fastrelu.plot.gradient_noise(noise)
    >>> ax.get_xlabel()
    'rows m of the minibatch'
    """
    if not isinstance(noise, GradientNoise):
        raise TypeError(f"noise: expected a fastrelu.convergence.GradientNoise, got {noise!r}")
    ax = axes_or_new(ax)
    k = sum(line.get_linestyle() in ("-", "--") for line in ax.lines)
    colour, style, mark = COLOURS[k % len(COLOURS)], ("-", "--")[k % 2], "os"[k % 2]
    n = noise.n_rows
    factor = r"/ m" + (r" \cdot (n - m) / (n - 1)" if noise.sampling == "subset" else "")
    how = {"subset": "subsets", "with_replacement": "with replacement"}[noise.sampling]
    sizes = np.unique(np.geomspace(1, n, 400).astype(int))
    theory = np.array([draw_factor(n, int(m), noise.sampling) for m in sizes]) * noise.variance
    seen = theory > 0
    ax.plot(sizes[seen], theory[seen], style, color=colour, label=rf"{how}: $\sigma^2 {factor}$")
    seen = noise.theory > 0  # all rows make no noise, which a logarithmic axis cannot show
    m, mean = noise.batch_size[seen], noise.measured[seen]
    ends = [mean - noise.low[seen], noise.high[seen] - mean]
    name = f"measured, {noise.draws} draws each"
    ax.errorbar(m, mean, ends, fmt=mark, color=colour, ms=5, capsize=3, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("rows m of the minibatch")
    ax.set_ylabel(r"$E\,|G - \nabla f|^2$")
    ax.grid(True, which="major", alpha=0.25)
    ax.legend(frameon=False)
    return ax
