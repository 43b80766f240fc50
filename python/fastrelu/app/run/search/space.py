# SPDX-License-Identifier: BSD-3-Clause
"""What a search draws from: for some settings, a list of values or a range."""

from __future__ import annotations

import difflib
import math
from typing import Any

from fastrelu.app.errors import ConfigError
from fastrelu.app.kinds import Rates, Real, Whole
from fastrelu.app.settings import Settings, options, shown
from fastrelu.app.settings_file import parsed_toml, space_text
from fastrelu.random import Purpose, words

NAMES = (
    "hidden", "activation", "batch_size", "optimizer", "lr", "schedule", "momentum",
    "weight_decay", "clip_norm", "dropout", "class_weight",
)  # fmt: skip
DEFAULT = {
    "hidden": "64|128,64|256,128|128,128,64",
    "lr": "0.0003..0.01",
    "weight_decay": "0|0.00001|0.0001|0.001",
    "batch_size": "32|64|128|256",
}
SGD_LR = "0.003..0.1"
Range = tuple[float, float]
Space = dict[str, list[Any] | Range]


def space_of(settings: Settings) -> Space:
    """Return the space that the settings name, or the default one.

    Raises
    ------
    ConfigError
        If a name is no setting that can be searched, or a value does not fit.
    """
    text = spelled(settings.search_space)
    if text is None:
        texts = DEFAULT | ({"lr": SGD_LR} if settings.optimizer == "sgd" else {})
    else:
        texts = {}
        # What is not spelled out is the name of a file with nothing in it.
        for item in filter(str.strip, text.split(";") if _is_spelled(text) else ()):
            name, equals, values = item.partition("=")
            if not equals:
                raise ConfigError(f"--search-space: expected NAME=VALUES, got {item.strip()!r}")
            texts[name.strip()] = values.strip()
    return {_known(name): _values(_known(name), values) for name, values in texts.items()}


def spelled(text: str | None) -> str | None:
    """Return a space as NAME=VALUES; what a file says, if it names one.

    A run goes on with the space that it began with, from any folder, whatever becomes of the file.

    Raises
    ------
    ConfigError
        If there is no such file, or it is none of a space.
    """
    return text if text is None or _is_spelled(text) else _text_of_file(text) or text


def _is_spelled(text: str) -> bool:
    return "=" in text


def _text_of_file(path: str) -> str:
    try:
        raw = parsed_toml(path)
    except OSError as error:
        raise ConfigError(
            f"--search-space {path}: neither NAME=VALUES nor a file ({error.strerror or error})"
        ) from None
    except ValueError as error:
        raise ConfigError(f"--search-space {path}: not a TOML file ({error})") from None
    table = raw.get("search", raw)
    return space_text(table, path) if isinstance(table, dict) else ""


def _known(name: str) -> str:
    key = name.removeprefix("--").replace("-", "_")
    if key not in NAMES:
        near = difflib.get_close_matches(key, NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(NAMES)}"
        raise ConfigError(f"--search-space: {name!r} cannot be searched; {hint}")
    return key


def _values(name: str, text: str) -> list[Any] | Range:
    kind = {each.name: option for each, option in options()}[name].kind
    low, dots, high = text.partition("..")
    try:
        if not dots:
            return [kind.from_text(value.strip()) for value in text.split("|")]
        if not isinstance(kind, (Real, Whole, Rates)):
            raise ValueError(f"expected values with | between them, got {text!r}")
        ends = _number(kind.from_text(low.strip())), _number(kind.from_text(high.strip()))
    except ValueError as error:
        raise ConfigError(f"--search-space: {name}: {error}") from None
    if not ends[0] < ends[1]:
        raise ConfigError(f"--search-space: {name}: expected LOW..HIGH, got {text!r}")
    return ends


def _number(value: Any) -> float:
    """Return an end of a range; a single dropout rate is one."""
    if not isinstance(value, tuple):
        return float(value)
    if len(value) != 1:
        raise ValueError(f"expected a number at each end of a range, got {shown(value)}")
    return float(value[0])


def draw(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """Return candidates: independent draws, without repeats as long as the space has others.

    A list gives each value alike; a range is uniform in the logarithm, or as it is from 0 on.
    Candidate i, value j takes word j of Philox's blocks from (attempt i) on under the key
    (seed, SEARCH). Values are rounded to 3 digits, which hides how a logarithm was rounded.
    """
    kinds = {each.name: option.kind for each, option in options()}
    found: list[dict[str, Any]] = []
    blocks = -(-len(space) // 4)
    for attempt in range(20 * count):
        drawn = words(seed, Purpose.SEARCH, 4 * attempt * blocks, 4 * blocks)
        candidate = {}
        for word, (name, values) in zip(drawn, space.items(), strict=False):
            share = int(word) / 2**64
            if isinstance(values, list):
                candidate[name] = values[min(int(share * len(values)), len(values) - 1)]
                continue
            low, high = values
            value = low * (high / low) ** share if low > 0 else low + (high - low) * share
            value = min(high, max(low, float(f"{value:.3g}")))
            kind = kinds[name]
            candidate[name] = kind.check(round(value) if isinstance(kind, Whole) else value)
        if candidate not in found:
            found.append(candidate)
        if len(found) == count:
            break
    return found


def rungs(count: int, epochs: int, factor: int = 3) -> list[tuple[int, int]]:
    """Return the halving's plan: how many candidates go on, and to which epoch.

    Each rung keeps a third of the candidates and triples their epochs; the last one is the winner
    alone, up to `epochs`.
    """
    counts = [count]
    while counts[-1] > 1:
        counts.append(math.ceil(counts[-1] / factor))
        if counts[-1] == counts[-2]:
            counts[-1] -= 1
    last = len(counts) - 1
    return [(n, max(1, round(epochs / factor ** (last - r)))) for r, n in enumerate(counts)]
