# SPDX-License-Identifier: BSD-3-Clause
"""Text as 0/1 inputs: one for each category, or a fixed number that categories are hashed into."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app import described
from fastrelu.app.data.meaning import same_truth, truth
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess.options import InputOptions
from fastrelu.app.preprocess.treatment import Treatment

MOST_DISTINCT = 100_000
MISSING = ""


@dataclass
class OneHot:
    """An input for each category of one column, in this order; any other value is all zeros."""

    name: str
    categories: list[str]

    def __post_init__(self) -> None:
        self._place = {category: k for k, category in enumerate(self.categories)}
        # Another spelling of true or false is the same category.
        self._truths: dict[float | None, int] = {
            value: self._place[word] for value, word in same_truth(self.categories).items()
        }

    @property
    def n_inputs(self) -> int:
        """How many inputs."""
        return len(self.categories)

    @property
    def input_names(self) -> list[str]:
        """The inputs' names."""
        return [f"{self.name} = {c}" if c else f"{self.name} is missing" for c in self.categories]

    def places(self, values: NDArray[Any], seen: Counter[tuple[str, str]]) -> NDArray[np.intp]:
        """Return which input is 1 for each value, -1 for none; count the latter."""
        where = np.fromiter(map(self._place.get, values, repeat(-1)), np.intp, len(values))
        unknown = np.flatnonzero(where < 0)
        if len(unknown) and self._truths:
            for i in unknown.tolist():
                where[i] = self._truths.get(truth(values[i]), -1)
            unknown = unknown[where[unknown] < 0]
        if len(unknown):
            gaps = sum(values[i] == MISSING for i in unknown)
            for what, n in (("missing category", gaps), ("unseen category", len(unknown) - gaps)):
                if n:
                    seen[what, self.name] += n
        return where

    @property
    def treatment(self) -> Treatment:
        """What is done to the column."""
        return Treatment(self.name, "text", "one-hot", self.n_inputs, names=self.categories)

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"column": self.name, "categories": self.categories}


@dataclass
class Hashed:
    """A fixed number of inputs for one column: a value sets the one that its hash names."""

    name: str
    n_inputs: int
    _known: dict[str, int] = field(default_factory=dict)

    @property
    def input_names(self) -> list[str]:
        """The inputs' names."""
        return [f"{self.name} # {k}" for k in range(self.n_inputs)]

    def places(self, values: NDArray[Any], seen: Counter[tuple[str, str]]) -> NDArray[np.intp]:
        """Return which input is 1 for each value."""
        known = self._known
        if len(known) > MOST_DISTINCT:  # a cache only
            known.clear()
        for value in set(values) - known.keys():
            known[value] = hash_text(value) % self.n_inputs
        return np.fromiter(map(known.__getitem__, values), np.intp, len(values))

    @property
    def treatment(self) -> Treatment:
        """What is done to the column."""
        return Treatment(self.name, "text", "hash", self.n_inputs)

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"column": self.name, "hashed_into": self.n_inputs}


Categories = OneHot | Hashed


def hash_text(text: str) -> int:
    """Return a text's hash: the first 8 bytes, little-endian, of BLAKE2b of its UTF-8 bytes."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def categories_from(plain: dict[str, Any], what: str = "categories") -> Categories:
    """Return what `describe` has described."""
    name = described.text(plain["column"], "column")
    if "hashed_into" in plain:
        return Hashed(name, described.whole(plain["hashed_into"], "hashed_into", least=1))
    return OneHot(name, described.names(plain["categories"], "categories"))


class CategoryCounts:
    """How often each category of one column occurs in training."""

    def __init__(self, name: str, options: InputOptions) -> None:
        self.name, self.options = name, options
        self.counts: Counter[str] = Counter()

    def add(self, source: str, values: NDArray[Any]) -> None:
        """Count some values.

        Raises
        ------
        DataError
            If there are too many different ones to be categories.
        """
        if self.options.categories == "hash":
            return
        self.counts.update(values)
        if len(self.counts) > MOST_DISTINCT:
            raise DataError(
                f"{source}: column {self.name!r}: more than {MOST_DISTINCT} different texts are no "
                f"categories; leave it out (--ignore {self.name!r}) or hash it (--categories hash)"
            )

    def finish(self, notes: list[str]) -> Categories:
        """Return the inputs that the counts lead to; tell what the user should know."""
        name, counts, most = self.name, self.counts, self.options.max_categories
        if self.options.categories == "hash":
            return Hashed(name, self.options.hash_width)
        common = sorted(counts, key=lambda category: (-counts[category], category))
        if len(common) > most:
            notes.append(
                f"column {name!r}: {len(common)} categories; the {most} most frequent have an "
                f"input, the others are all zeros (if they only name rows: --ignore {name!r})"
            )
        if counts[MISSING]:
            notes.append(
                f"column {name!r}: {counts[MISSING]} of {counts.total()} training values missing: "
                "a category of its own"
            )
        return OneHot(name, sorted(common[:most]))
