# SPDX-License-Identifier: BSD-3-Clause
"""The former place of `fastrelu.exact.segment`: pickles of version 0.1.0 name it."""

from fastrelu.exact.segment import LocalAffine

__all__ = ["LocalAffine"]
