# SPDX-License-Identifier: BSD-3-Clause
"""The version, as installed; a module of its own, since looking it up takes some milliseconds."""

from importlib import metadata

__version__ = metadata.version("fastrelu")
