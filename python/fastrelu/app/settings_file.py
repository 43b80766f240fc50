# SPDX-License-Identifier: BSD-3-Clause
"""Settings as a TOML file, and beside those of a saved run."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrelu.app.errors import ConfigError
from fastrelu.app.settings import Settings, applies, flag, options, shown


def load_toml(path: str | Path) -> dict[str, Any]:
    """Return the settings in a TOML file, each checked.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or has a key or value that does not fit.
    """
    try:
        content = Path(path).read_bytes()
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
