# SPDX-License-Identifier: BSD-3-Clause
"""Training from files that are larger than the memory: blocks of rows, shuffled inside."""
