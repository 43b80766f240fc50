# SPDX-License-Identifier: BSD-3-Clause
"""jax with many steps in one compiled scan, some of them written out: no dispatch between them."""

from __future__ import annotations

import jax

from benchmarks.implementations import UnavailableError
from benchmarks.implementations.jax_jit import Step, info, next_parameters
from benchmarks.nets import net_of

__all__ = ["TASKS", "info"]

LONGEST = 1e11  # operations of a call: a second or two


def step(spec: dict):
    """Take `scan` steps a call, `unroll` of them in the loop's body."""
    steps, unroll = spec.get("scan", 64), spec.get("unroll", 1)
    if steps > 64 and steps * net_of(spec).step_flops > LONGEST:
        raise UnavailableError(f"a call of {steps} steps would take seconds")

    def many_steps(parameters, X, y):
        def body(p, _):
            return next_parameters(p, X, y)

        return jax.lax.scan(body, parameters, length=steps, unroll=unroll)

    return Step(spec, function=many_steps, steps=steps)


TASKS = {"step": step}
