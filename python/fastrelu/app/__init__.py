# SPDX-License-Identifier: BSD-3-Clause
"""The command: from a file of data to a tested model. `fastrelu.training` is its face."""
