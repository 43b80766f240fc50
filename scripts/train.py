#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Train a ReLU network on a file of data; ``--help`` says how."""

try:
    import click  # noqa: F401
except ImportError:
    raise SystemExit("train.py needs click: pip install 'fastrelu[train]'") from None

from fastrelu.training.cli import main

if __name__ == "__main__":
    main(prog_name="train.py")
