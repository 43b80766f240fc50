# SPDX-License-Identifier: BSD-3-Clause
"""Search (``--search``): candidates from a space, successive halving, the winner trained on."""

from fastrelu.app.run.search.session import SearchSession

__all__ = ["SearchSession"]
