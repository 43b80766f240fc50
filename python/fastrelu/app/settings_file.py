# SPDX-License-Identifier: BSD-3-Clause
"""Settings from several places, and as a TOML file, beside those of a saved run."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastrelu.app.errors import ConfigError
from fastrelu.app.settings import Settings, applies, flag, options, shown
from fastrelu.app.usual import LOSSES, PRESETS, SINGLE


def parsed_toml(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file says; ValueError where it is none, OSError where it is not there."""
    content = Path(path).read_bytes()
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def load_toml(path: str | Path) -> dict[str, Any]:
    """Return the settings in a TOML file, each checked.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or has a key or value that does not fit.
    """
    try:
        raw = parsed_toml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from None
    known = {each.name: option for each, option in options()}
    values = {}
    if isinstance(raw.get("search"), dict):
        raw |= {"search_space": space_text(raw["search"], str(path)), "search": True}
    for key, value in raw.items():
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {key!r}{hint}")
        try:
            values[name] = known[name].kind.check(value)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from None
    return values


def space_text(table: Mapping[str, Any], path: str) -> str:
    """Return a TOML table as --search-space has it: ``hidden=64|128,64; lr=0.001..0.01``.

    Raises
    ------
    ConfigError
        If a value is neither a list, a text, nor a table of low and high.
    """
    items = []
    for name, value in table.items():
        if isinstance(value, str):
            text = value
        elif isinstance(value, list) and value:
            text = "|".join(shown(tuple(v)) if isinstance(v, list) else shown(v) for v in value)
        elif isinstance(value, dict) and set(value) == {"low", "high"}:
            text = f"{value['low']}..{value['high']}"
        else:
            raise ConfigError(
                f"{path}: [search] {name}: expected a list of values or "
                f"{{low = X, high = Y}}, got {value!r}"
            )
        items.append(f"{name}={text}")
    return "; ".join(items)


def to_toml(settings: Settings, comment: str) -> str:
    """Return the settings that belong to a run as a TOML file's text; None is left out."""
    lines = [f"# {comment}"]
    group = ""
    for each, option in options():
        value = getattr(settings, each.name)
        if not option.saved or value is None or not applies(settings, option):
            continue
        if option.group != group:
            group = option.group
            lines += ["", f"# {group}"]
        lines.append(f"{each.name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(each) for each in value) + "]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def differences(saved: Settings, given: Mapping[str, Any]) -> list[str]:
    """Return how `given` differs from a saved run's settings, where that changes the model."""
    found = []
    for each, option in options():
        name = each.name
        if not option.fixed or name not in given or given[name] == getattr(saved, name):
            continue
        found.append(f"{flag(name)} {shown(given[name])} (it was {shown(getattr(saved, name))})")
    return found


def merge(*layers: Mapping[str, Any]) -> Settings:
    """Return the settings that these give, the later over the earlier, checked together.

    Without a preset it is "single" if something speaks of one network; else it is None, and the
    data decide: the default one, or "single" if they speak of one network.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        values |= layer
    preset, single = values.get("preset"), single_by(values)
    if preset == SINGLE:
        single = f"--preset {SINGLE}"
    own = recipe_by(values)
    if single and own:
        raise ConfigError(
            f"{own} goes with --preset {', '.join(PRESETS)}, and {single} speaks of one network; "
            "leave one of them out"
        )
    if preset is None and single:
        values["preset"] = SINGLE
    elif preset != SINGLE and single:
        raise ConfigError(
            f"--preset {preset} and {single} do not go together: that speaks of one network, "
            f"which --preset {SINGLE} trains; leave one of them out"
        )
    return replace(Settings(), **values).check()


def recipe_by(values: Mapping[str, Any]) -> str | None:
    """Return the flag, among settings that are given, that one network has not, if one does."""
    names = (each.name for each, option in options() if option.recipe)
    return next((flag(name) for name in names if values.get(name)), None)


def single_by(values: Mapping[str, Any]) -> str | None:
    """Return the flag, among settings that are given, that speaks of one network, if one does."""
    for each, option in options():
        value = values.get(each.name)
        if option.single and value not in (None, False) and not (each.name, value) == (
            "validation", 0,
        ):  # fmt: skip
            return f"{flag(each.name)} {shown(value)}" if value is not True else flag(each.name)
    loss = values.get("loss")
    if loss is not None and loss.partition(":")[0] not in ("auto", *LOSSES):
        return f"--loss {loss}"
    return None
