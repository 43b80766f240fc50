# SPDX-License-Identifier: BSD-3-Clause
"""The command ``fastrelu``, also as ``python -m fastrelu``."""

import sys


def main() -> None:
    """Run the command; one line says so if what it needs is not installed."""
    try:
        try:
            import click  # noqa: F401
        except ImportError:
            sys.exit(
                "the command fastrelu needs more packages: "
                "pip install click rich scikit-learn pyarrow matplotlib"
            )
        from fastrelu.app.cli import main as command

        command(prog_name="fastrelu")
    except KeyboardInterrupt:  # before the command is there to see to it
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
