# SPDX-License-Identifier: BSD-3-Clause
"""What `python -m benchmarks` measures, section by section."""

from __future__ import annotations

from benchmarks.sections import training

SECTIONS = {
    "fit": training.fit,
    "float64": training.float64,
}
