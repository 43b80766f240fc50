#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu train`` as a script; ``--help`` says how."""

try:
    import click  # noqa: F401
except ImportError:
    raise SystemExit(
        "train.py needs more packages: pip install click rich scikit-learn pyarrow matplotlib"
    ) from None

from fastrelu.app.cli.train import train

if __name__ == "__main__":
    train(prog_name="train.py")
