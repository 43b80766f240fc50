# SPDX-License-Identifier: BSD-3-Clause
"""Training by several processes that share the rows: communicators, and who has which rows."""

from __future__ import annotations

from fastrelu.distributed.communicator import (
    Communicator,
    OverlappingCommunicator,
    RankError,
    as_communicator,
)
from fastrelu.distributed.local import fit_local_steps
from fastrelu.distributed.rank_members import fit_rank_rows
from fastrelu.distributed.rank_rows import RankRows
from fastrelu.distributed.shares import rows_of_rank
from fastrelu.distributed.threads import run_threads

__all__ = [
    "Communicator", "OverlappingCommunicator", "RankError", "RankRows", "as_communicator",
    "fit_local_steps", "fit_rank_rows", "rows_of_rank", "run_threads",
]  # fmt: skip
