# SPDX-License-Identifier: BSD-3-Clause
"""The former place of `fastrelu.exact.regions`: pickles of version 0.1.0 name it."""

from fastrelu.exact.regions import LinearRegions

__all__ = ["LinearRegions"]
