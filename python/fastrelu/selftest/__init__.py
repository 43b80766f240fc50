# SPDX-License-Identifier: BSD-3-Clause
"""Whether this build computes the bits that docs/arithmetic.md defines: docs/selftest.md.

`parts` computes one hash for each part of the contract; `differences` compares them with those that
come with the package, on every instruction set that the machine has, with several numbers of
threads and with the rows cut in several ways. `vectors` has inputs and outputs with which another
implementation, in any language, can show that it follows the contract.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np

from fastrelu import _core
from fastrelu.selftest.runs import RUNS

__all__ = ["combined", "differences", "expected", "parts", "vectors"]

THREADS = (1, 2, 5)
CUTS = (None, 1, 7)  # rows of a call; None: all


def parts(cut: int | None = None) -> dict[str, str]:
    """Return the hash of each part of the contract, as it is computed here and now.

    Parameters
    ----------
    cut : int, optional
        Predictions alone are computed, so many rows at a time. The bits must not depend on it.

    Returns
    -------
    dict of str to str
        SHA-256, in hexadecimal, of each part's results as little-endian bytes, one array after
        another in C order; every NaN counts as the positive quiet one.

    Examples
    --------
    >>> from fastrelu import selftest
    >>> selftest.parts() == selftest.expected()
    True
    """
    chosen = [name for name in RUNS if cut is None or name.startswith("forward.")]
    with np.errstate(all="ignore"):
        return {name: _hash(RUNS[name](cut)) for name in chosen}


def _hash(arrays: list[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        values = np.array(array, order="C")
        if values.dtype.kind == "f":
            values[np.isnan(values)] = np.nan
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def combined(hashes: dict[str, str]) -> str:
    """Return one hash of all parts.

    Parameters
    ----------
    hashes : dict of str to str
        From `parts`.

    Returns
    -------
    str
        SHA-256, in hexadecimal, of a line ``name hash`` for each, in the order of the names.

    Examples
    --------
    >>> from fastrelu import selftest
    >>> len(selftest.combined({"random.words": "00"}))
    64
    """
    lines = "".join(f"{name} {value}\n" for name, value in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def expected() -> dict[str, str]:
    """Return the hashes that `parts` must return, which come with the package.

    Returns
    -------
    dict of str to str
        By the names of the parts.

    Examples
    --------
    >>> from fastrelu import selftest
    >>> "optimizer.adam.float32" in selftest.expected()
    True
    """
    found: dict[str, str] = json.loads((files(__package__) / "expected.json").read_text())
    return found


def vectors() -> dict[str, Any]:
    """Return test vectors: small inputs and what comes out, computed by `fastrelu.reference`.

    Returns
    -------
    dict
        ``cases`` is a list of dictionaries; docs/selftest.md says what each kind of them holds.
        Floating-point numbers are texts in C's hexadecimal notation, which lose nothing.

    Examples
    --------
    >>> from fastrelu import selftest
    >>> case = selftest.vectors()["cases"][0]
    >>> case["kind"], case["function"], case["dtype"]
    ('elementary', 'exp', 'float32')
    """
    found: dict[str, Any] = json.loads((files(__package__) / "vectors.json").read_text())
    return found


def differences() -> Iterator[tuple[str, int, int | None, dict[str, str]]]:
    """Compare the hashes under every instruction set, number of threads and cut of the rows.

    Yields
    ------
    isa : str
        The instruction set.
    threads : int
        The number of threads.
    cut : int or None
        The rows of a call; None: all.
    differing : dict of str to str
        The hash of each part that differs from the expected one; {} where all is right.

    Examples
    --------
    >>> from fastrelu import selftest
    >>> isa, threads, cut, differing = next(selftest.differences())
    >>> threads, cut, differing
    (1, None, {})
    """
    wanted = expected()
    for isa in _core.available_isas():
        for threads, cut in product(THREADS, CUTS):
            with _set(isa, threads):
                found = parts(cut)
            yield isa, threads, cut, {k: v for k, v in found.items() if v != wanted.get(k)}


@contextmanager
def _set(isa: str, threads: int) -> Iterator[None]:
    before, limit = _core.active_isa(), _core.set_thread_limit(threads)
    try:
        _core.set_isa(isa)
        yield
    finally:
        _core.set_isa(before)
        _core.set_thread_limit(limit)
