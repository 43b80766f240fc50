# SPDX-License-Identifier: BSD-3-Clause
"""Numbers as people write them: decimal and thousands marks, currencies, units, brackets.

What a mark means is never told from one cell: each text gives evidence, and the column decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INFINITE = ("inf", "infinity")  # without a sign, in lower case
CODE = re.compile(r"0[0-9]+")  # an integer with leading zeros: a postcode, not a quantity
SPACES = " \u00a0\u2007\u2009\u202f"
APOSTROPHES = "'\u2019"
MINUS = "\u2212\u2013\ufe63\uff0d-"  # minus sign, en dash, two wide ones; the hyphen
CURRENCY = (
    r"(?:[A-Z]{0,3}[$\u20a0-\u20bf\u00a3\u00a5]|[$\u20a0-\u20bf\u00a3\u00a5][A-Z]{0,3}"
    r"|USD|EUR|GBP|JPY|CNY|RMB|CHF|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|AUD|CAD|NZD|INR|BRL|RUB"
    r"|TRY|ZAR|MXN|SGD|HKD|KRW|THB|IDR|MYR|PHP|ILS|AED|SAR|Rs\.?|Fr\.|kr\.?|z\u0142|K\u010d|Ft|lei"
    r"|\u0440\u0443\u0431\.?)"
)
UNITS = (
    "% \u2030 \u00b0 \u00b0C \u00b0F \u00b0K \u2103 \u2109 "
    "kg g mg \u00b5g \u03bcg ug lb lbs oz t "
    "km m cm mm \u00b5m \u03bcm um nm mi ft in yd nmi "
    "km/h kmh kph mph m/s kn knots m/s2 m/s\u00b2 "
    "l L ml mL cl dl gal m2 m\u00b2 cm2 cm\u00b2 km2 km\u00b2 mm2 mm\u00b2 ha acres sqft sqm "
    "m3 m\u00b3 cm3 cm\u00b3 cc "
    "s sec secs ms \u00b5s us ns min mins h hr hrs hours days years yrs weeks months "
    "W kW MW GW kWh MWh Wh V mV kV mA kA \u03a9 ohm Hz kHz MHz GHz "
    "J kJ MJ kcal cal eV keV MeV Pa hPa kPa MPa bar mbar psi mmHg kN Nm mol mmol ppm ppb dB dBm "
    "B kB KB MB GB TB KiB MiB GiB TiB bit bits Mbps Gbps px pt pcs rpm bhp hp PS kmpl mpg "
    "mg/dl mg/dL mmol/l mmol/L g/l g/L mg/l mg/L g/cm3 kg/m3 bpm x"
).split()
UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_SPACE = f"[{SPACES}]*"
_SIGN = f"[+{MINUS}]"
WORN = re.compile(
    rf"(?P<open>\()?{_SPACE}(?P<sign>{_SIGN})?{_SPACE}(?P<before>{CURRENCY})?{_SPACE}"
    rf"(?P<inner>{_SIGN})?"
    rf"(?P<body>[0-9](?:[0-9.,{SPACES}{APOSTROPHES}]*[0-9.,])?|[.,][0-9]+)"
    rf"(?P<exponent>[eE]{_SIGN}?[0-9]+)?"
    rf"(?:{_SPACE}(?P<after>{CURRENCY}|{UNIT}))?(?P<last>-)?{_SPACE}(?P<close>\))?"
)  # a number and all that may stand around it
LOOSE = re.compile(
    rf"(?P<open>\()?(?P<sign>{_SIGN})?(?P<before>[^0-9+.,\-]*?)(?P<inner>{_SIGN})?"
    rf"(?P<body>[0-9](?:[0-9.,{SPACES}{APOSTROPHES}]*[0-9.,])?|[.,][0-9]+)"
    r"(?P<exponent>[eE][+-]?[0-9]+)?(?P<after>[^0-9]*?)(?P<last>(?<=[0-9])-)?(?P<close>\))?"
)  # what --numeric takes: any text around it
_GROUPS = f"[{SPACES}{APOSTROPHES}]"
# What a body of digits and marks says; the first pattern that fits holds.
BODIES = (
    (re.compile(r"[0-9]+"), "", ""),
    (re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}"), "?", "."),
    (re.compile(r"[1-9][0-9]{0,2},[0-9]{3}"), "?", ","),
    (re.compile(r"[0-9]*\.[0-9]*"), ".", ""),
    (re.compile(r"[0-9]*,[0-9]*"), ",", ""),
    (re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+"), ",", "."),
    (re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]*"), ",", "."),
    (re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?"), ".", ","),
    (re.compile(r"[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]*)?"), ".", ","),  # India
    (re.compile(rf"[1-9][0-9]{{0,2}}(?:{_GROUPS}[0-9]{{3}})+"), "", " "),
    (re.compile(rf"[1-9][0-9]{{0,2}}(?:{_GROUPS}[0-9]{{3}})+\.[0-9]*"), ".", " "),
    (re.compile(rf"[1-9][0-9]{{0,2}}(?:{_GROUPS}[0-9]{{3}})+,[0-9]*"), ",", " "),
)


@dataclass(frozen=True)
class Written:
    """How one number is written.

    Attributes
    ----------
    decimal : {"", ".", ",", "?"}
        The decimal mark that it needs: "" either, "?" that its mark may be one of thousands.
    mark : {"", ".", ",", " "}
        The mark of thousands that it has, or with "?" may have.
    unit : str
        What stands before or after it: "$", "%", "kg"; "" nothing.
    code : bool
        Whether it has leading zeros, as postcodes have.
    """

    decimal: str = ""
    mark: str = ""
    unit: str = ""
    code: bool = False


@lru_cache(65_536)
def written(text: str, loose: bool = False) -> Written | None:
    """Return how a number is written; None if the text is no number.

    Parameters
    ----------
    text : str
        Without spaces around it.
    loose : bool
        Whether any unit will do, not the known ones alone.
    """
    match = (LOOSE if loose else WORN).fullmatch(text)
    if match is None or (match["open"] is None) != (match["close"] is None):
        return None
    signs = sum(match[name] is not None for name in ("sign", "inner", "last", "open"))
    if signs > 1:
        return None
    units = [match[name].strip() for name in ("before", "after") if match[name]]
    units = [unit for unit in units if unit]
    if len(units) > 1:
        return None
    if match["exponent"] and "," not in match["body"] and "." not in match["body"]:
        decimal, mark = "", ""
    else:
        found = next(((d, m) for p, d, m in BODIES if p.fullmatch(match["body"])), None)
        if found is None:
            return None
        decimal, mark = found
    if match["exponent"] and decimal == "?":
        decimal, mark = mark, ""
    return Written(decimal, mark, units[0] if units else "", CODE.fullmatch(text) is not None)


def value(text: str, decimal: str = ".", unit: str = "", loose: bool = False) -> float | None:
    """Return a number's value under a decimal mark; None if the text does not fit it.

    Parameters
    ----------
    text : str
        Without spaces around it.
    decimal : {".", ","}
        The decimal mark; the other one is a mark of thousands.
    unit : str
        The unit that it may have.
    loose : bool
        Whether units are told by the text around alone.
    """
    how = written(text, loose)
    if how is None or how.unit not in ("", unit):
        return None
    other = "," if decimal == "." else "."
    if how.decimal == other:
        return None
    match = (LOOSE if loose else WORN).fullmatch(text)
    assert match is not None
    body = match["body"].replace(other, "").replace(decimal, ".")
    for mark in SPACES + APOSTROPHES:
        body = body.replace(mark, "")
    exponent = match["exponent"] or ""
    for mark in MINUS:
        exponent = exponent.replace(mark, "-")
    number = float(body + exponent)
    signs = [match[name] for name in ("sign", "inner", "last", "open")]
    return -number if any(sign is not None and sign != "+" for sign in signs) else number


def is_rounded(text: str) -> bool:
    """Return whether a text is a whole number that no double is equal to."""
    digits = text.removeprefix("-").removeprefix("+")
    if len(digits) > 400 or not (digits.isascii() and digits.isdigit()):
        return False
    return float(digits) == float("inf") or int(float(digits)) != int(digits)


def shown(how: Written) -> str:
    """Return what is unusual in a number, for messages; "" if nothing is."""
    parts = []
    if how.unit:
        parts.append(f"the unit {how.unit!r}")
    if how.mark and how.decimal != "?":
        mark = {" ": "a space or an apostrophe", ",": "','", ".": "'.'"}[how.mark]
        parts.append(f"{mark} between thousands")
    return " and ".join(parts)
