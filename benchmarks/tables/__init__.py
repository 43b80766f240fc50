# SPDX-License-Identifier: BSD-3-Clause
"""Models of tables side by side: `python -m benchmarks.tables --out FILE.json`."""
