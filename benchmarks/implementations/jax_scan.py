# SPDX-License-Identifier: BSD-3-Clause
"""jax with 64 steps in one compiled scan: no dispatch between them."""

from __future__ import annotations

import functools

import jax

from benchmarks.implementations.jax_jit import Step, info, next_parameters

__all__ = ["TASKS", "info"]

STEPS = 64


def many_steps(parameters, X, y):
    return jax.lax.scan(lambda p, _: next_parameters(p, X, y), parameters, length=STEPS)


TASKS = {"step": functools.partial(Step, function=many_steps, steps=STEPS)}
