# SPDX-License-Identifier: BSD-3-Clause
"""Where 0.1.0 had `read`, which is `fastrelu.training.read` now."""

from fastrelu.app.data.readers import ColumnChoice, read

__all__ = ["ColumnChoice", "read"]
