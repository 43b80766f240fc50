# SPDX-License-Identifier: BSD-3-Clause
"""Train a ReLU network on a data file: ``python scripts/train.py digits``; --help tells more."""

import sys

try:
    from fastrelu.training.cli import main
except ModuleNotFoundError as error:
    sys.exit(f"{error}: install the extra with  pip install 'fastrelu[train]'")

if __name__ == "__main__":
    main()
