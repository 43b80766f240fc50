# SPDX-License-Identifier: BSD-3-Clause
"""The report's Markdown tables, one function a section; each takes what that section measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.nets import GRID
from benchmarks.sections import shapes, updates
from benchmarks.sections.common import (
    FAMILIES,
    PEERS,
    fastest_peer,
    is_also,
    microseconds,
    of_build,
    ratio,
    roof_share,
    show,
)
from benchmarks.sections.dropout import RATES as DROPOUT_RATES
from benchmarks.sections.sparse import RULES as SPARSE_RULES

Found = dict[str, Any]
SKLEARN = FAMILIES["scikit-learn"]
OTHERS = [label for label in PEERS if label not in SKLEARN]


def own(section: Found) -> Found:
    """Return a section without what other builds of fastrelu did."""
    return {
        case: {label: result for label, result in results.items() if not is_also(label)}
        for case, results in section.items()
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|",
    ]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def times(value: float | None) -> str:
    return "-" if value is None else f"x{show(value)}"


def percent(value: float | None) -> str:
    return show(value, "{:.1%}").replace("%", " %")


def net_title(name: str) -> str:
    return f"{name} ({GRID[name].name})"


def fit(found: Found, machine: Found) -> str:
    """Time a step and the ratio to the fastest peer; then what the ratio consists of."""
    rows = []
    others = [label for label in OTHERS if any(label in results for results in found.values())]
    for name, results in found.items():
        ours = microseconds(results, "fit")
        best, sklearn = fastest_peer(results, list(PEERS)), fastest_peer(results, SKLEARN)
        rows.append([
            net_title(name), show(ours), *(show(microseconds(results, p)) for p in others),
            show(sklearn[1] if sklearn else None),
            f"**{times(best[1] / ours)}** {best[0]}" if ours and best else "-",
            times(sklearn[1] / ours) if ours and sklearn else "-",
        ])  # fmt: skip
    head = ["net", "fastrelu fit", *others, "scikit-learn", "fastest peer", "scikit-learn"]
    return table(head, rows) + "\n\n" + roofs_and_calls(found, machine["cores"])


def roofs_and_calls(found: Found, cores: int) -> str:
    rows = []
    for name, results in found.items():
        net, ours, one = GRID[name], microseconds(results, "fit"), microseconds(results, "fit 1")
        hot = microseconds(results, "fit hot")
        calls = [microseconds(results, label) for label in ("step", "step view")]
        rows.append([
            name, show(net.step_flops / ours / 1e3 if ours else None),
            percent(roof_share(net, results["fit"], results.get(f"roof {cores}", {}))),
            percent(roof_share(net, results["fit 1"], results.get("roof 1", {}))),
            times(ratio(one, ours)), show(hot),
            *(f"{call - hot:+.2f} us ({100 * (call / hot - 1):+.0f} %)" if call and hot else "-"
              for call in calls),
        ])  # fmt: skip
    head = ["net", "fit, GFLOP/s", "of the tile roof", "one thread", "threads give",
            "fit, rows in cache, us", "step over it", "step, a view alive"]  # fmt: skip
    return table(head, rows)


def one_core(found: Found, machine: Found) -> str:
    labels = list(dict.fromkeys(label for results in found.values() for label in results))
    rows = []
    for name, results in found.items():
        best = fastest_peer(results, [label for label in labels if label in PEERS])
        cells = [show(microseconds(results, label)) for label in labels]
        rows.append([name, *cells, times(ratio(best[1] if best else None,
                                               microseconds(results, "fit")))])  # fmt: skip
    return table(["net", *labels, "fastest peer to fit"], rows)


def float64(found: Found, machine: Found) -> str:
    rows = []
    for name, results in found.items():
        ours, best = microseconds(results, "fit"), fastest_peer(results, FAMILIES["NumPy"])
        share = roof_share(GRID[name], results["fit"], results.get(f"roof {machine['cores']}", {}))
        numpy = [show(microseconds(results, label)) for label in FAMILIES["NumPy"]]
        over = times(ratio(best[1] if best else None, ours))
        rows.append([name, show(ours), *numpy, over, percent(share)])
    head = ["net", "fastrelu fit", *FAMILIES["NumPy"], "ratio", "of the float64 tile roof"]
    return table(head, rows)


def isa(found: Found, machine: Found) -> str:
    rows = []
    for name, results in found.items():
        for label, result in results.items():
            if label.startswith("roof"):
                continue
            roof = results.get(f"roof {label}", {})
            share = roof_share(GRID[name], result, roof)
            peak = show(roof["rate"] / 1e9 if "rate" in roof else None)
            rows.append([f"{name}, {label}", show(result.get("us")), peak, percent(share)])
    return table(["net, ISA", "fit", "its tile roof, GFLOP/s", "of it"], rows)


def neighbour(found: Found, machine: Found) -> str:
    labels = ("one thread alone", "default alone", "default beside a busy loop",
              "one thread beside it")  # fmt: skip
    rows = []
    for name, results in found.items():
        values = [microseconds(results, label) for label in labels]
        rows.append([name, *map(show, values), times(ratio(values[2], values[0]))])
    return table(["net", *labels, "beside it to one alone"], rows)


def forward(found: Found, machine: Found) -> str:
    labels = list(dict.fromkeys(label for results in found.values() for label in results))
    rows = []
    for name, results in found.items():
        ours = microseconds(results, "fastrelu")
        best = fastest_peer(results, [label for label in labels if label != "fastrelu"])
        rows.append([
            name, *(show(microseconds(results, label)) for label in labels),
            times(ratio(best[1] if best else None, ours)),
        ])  # fmt: skip
    return table(["net", *labels, "fastest peer to fastrelu"], rows)


def update(found: Found, machine: Found) -> str:
    rows = []
    for name, results in found.items():
        plain = microseconds(results, "sgd")
        cells = [
            f"{show(results[rule]['us'])} ({100 * (results[rule]['us'] / plain - 1):+.1f} %)"
            if plain and "us" in results.get(rule, {}) else "-"
            for rule in updates.RULES[1:]
        ]  # fmt: skip
        rows.append([name, show(plain), *cells])
    text = table(["case", *updates.RULES], rows)
    wide = found.get("wide b1")
    if wide:
        moved = [
            f"{rule} {show(updates.gigabytes(updates.ONE_ROW_WIDE, wide, rule))}"
            for rule in updates.MORE_ARRAYS
        ]
        copy = show(wide["copy"]["rate"] / 1e9 if "rate" in wide.get("copy", {}) else None)
        text += f"\n\nState of the rule moved on wide, one row, in GB/s: {', '.join(moved)}; "
        text += f"a copy of memory in the same rounds: {copy}."
    return text


def dropout(found: Found, machine: Found) -> str:
    labels = [f"rate {rate:g}" for rate in DROPOUT_RATES]
    rows = []
    for name, results in found.items():
        plain, *masked = (microseconds(results, label) for label in labels)
        rows.append([
            name, *map(show, (plain, *masked)), *(times(ratio(each, plain)) for each in masked),
        ])  # fmt: skip
    return table(["hidden layers", *labels, *(f"{label}, over 0" for label in labels[1:])], rows)


def odd(found: Found, machine: Found) -> str:
    rows = []
    for kind, pairs, make in (
        ("width", shapes.ODD_WIDTHS, lambda w: shapes.Net((w,) * 4, 128)),
        ("batch", shapes.ODD_BATCHES, shapes.batch_net),
    ):
        results = found.get(kind, {})
        for size, beside in pairs if results else ():
            mine, other = (microseconds(results, str(s)) for s in (size, beside))
            below = shapes.rate_below(results, make, size, beside)
            rows.append([f"{kind} {size}, beside {beside}", show(mine), show(other),
                         times(ratio(mine, other)), percent(below)])  # fmt: skip
    return table(["size", "time", "round size's", "ratio", "multiply-adds a second below"], rows)


def sweep(found: Found, machine: Found, first: str = "size") -> str:
    labels = list(dict.fromkeys(label for results in found.values() for label in results))
    rows = [
        [size, *(show(microseconds(r, label)) for label in labels)] for size, r in found.items()
    ]
    return table([first, *labels], rows)


def sparse(found: Found, machine: Found) -> str:
    parts = []
    for name in ("training", "forward"):
        labels = list(found.get(name, {}))
        row = [name, *(show(microseconds(found[name], label)) for label in labels)]
        parts.append(table(["", *labels], [row]))
    parts.append(sweep({rule: found[rule] for rule in SPARSE_RULES}, machine, "step"))
    return "\n\n".join(parts)


def builds(sections: Found) -> str:
    """Return another build's time over this one's, a row a section and contestant."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for name, section in sections.items():
        for results in section.values():
            for label in filter(is_also, results):
                mine = microseconds(results, of_build(label))
                value = ratio(microseconds(results, label), mine)
                if value:
                    ratios.setdefault((name, label), []).append(value)
    rows = []
    for (name, label), values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        each = [times(value) for value in (mean, min(values), max(values))]
        rows.append([f"{name}: {label}", *each, str(len(values))])
    return table(["section: contestant", "mean", "least", "most", "cases"], rows)


def skipped(section: Found) -> list[str]:
    """Return each reason to skip a contestant once, with what it concerns."""
    reasons: dict[str, list[str]] = {}
    for case, results in section.items():
        for label, result in results.items():
            if "skip" in result:
                reasons.setdefault(result["skip"], []).append(f"{label} ({case})")
    return [f"{reason}: {', '.join(who)}" for reason, who in reasons.items()]
