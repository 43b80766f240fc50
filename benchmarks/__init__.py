# SPDX-License-Identifier: BSD-3-Clause
"""What fastrelu's speed is, beside what else does the same: `python -m benchmarks`."""
