# SPDX-License-Identifier: BSD-3-Clause
"""The model of an exchange of gradients, at once or in segments behind the backward pass.

A message takes a latency and its bytes over a bandwidth. The work of a step's passes is shared
evenly by the ranks; a segment of the gradient (``MpiCommunicator(comm, overlap=True)``) can leave
when its weight gradient is computed, the layers from the last to the first, and it has been handed
over; the segments go one after another; a step ends when both the passes and the exchange have. A
core for the thread that exchanges is taken for granted.
"""

from __future__ import annotations

import itertools
import math

SEGMENT_BYTES = 1 << 20  # that of fastrelu.distributed.behind
ROWS = 48  # of a layer's weight gradient: cpp/shared_shards.cpp cuts at their multiples
HAND_OVER = 1e-3  # seconds from a segment's last number to its first message
#: Seconds from a rank to another, and bytes a second.
NETWORKS = {
    "1 Gb/s, 50 us": (50e-6, 1.25e8),
    "10 Gb/s, 20 us": (20e-6, 1.25e9),
    "100 Gb/s, 2 us": (2e-6, 1.25e10),
}


def exchange(ranks: int, n_bytes: float, latency: float, bandwidth: float) -> float:
    """Return the seconds of an exchange in the model."""
    if ranks == 1:
        return 0.0
    messages = (ranks - 1) + math.log2(ranks)
    return latency * messages + 2 * (ranks - 1) / ranks * n_bytes / bandwidth


def rows_of_pieces(inputs: int, outputs: int, least: int) -> list[int]:
    """Return where the pieces of a layer's gradient begin, in rows, the last one first."""
    each = math.ceil(math.ceil(least / outputs) / ROWS) * ROWS
    return list(range((inputs - 1) // each * each, -1, -each))


def segments(widths: tuple[int, ...], least: int) -> list[int]:
    """Return where the segments of a gradient begin, in numbers, as the core cuts it."""
    layers = [(a + 1, b) for a, b in itertools.pairwise(widths)]
    end = sum(a * b for a, b in layers)
    first, begins = end, []
    for inputs, outputs in reversed(layers):
        first -= inputs * outputs
        for row in rows_of_pieces(inputs, outputs, least):
            if end - (first + row * outputs) >= least:
                end = first + row * outputs
                begins.append(end)
    return begins if begins and begins[-1] == 0 else [*begins, 0]


def computed(widths: tuple[int, ...], begins: list[int]) -> tuple[list[float], float]:
    """Return when the segments are computed, and when all is, in multiply-adds of a row."""
    layers = list(itertools.pairwise(widths))
    now = float(sum(a * b for a, b in layers))  # the forward pass
    end = sum((a + 1) * b for a, b in layers)
    found, waiting = [], list(begins)
    for k, (inputs, outputs) in reversed(list(enumerate(layers))):
        first = end - (inputs + 1) * outputs
        while waiting and waiting[0] >= first:
            now += end - waiting[0]
            end = waiting.pop(0)
            found.append(now)
        now += end - first
        end = first
        if k > 0:
            now += inputs * outputs
    return found, now


def step(
    one: float,
    widths: tuple[int, ...],
    ranks: int,
    link: tuple[float, float],
    segment_bytes: int = SEGMENT_BYTES,
    hand_over: float = HAND_OVER,
) -> tuple[float, float]:
    """Return the seconds of a step whose exchange begins at its end, and of one that overlaps.

    `one`: the seconds of a step of one rank.
    """
    begins = segments(widths, segment_bytes // 4)
    whole = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    times, work = computed(widths, begins)
    each = one / ranks / work
    sent = 0.0
    for at, begin, end in zip(times, begins, [whole, *begins], strict=False):
        # The last one is summed by the thread that has computed it.
        ready = each * at + (hand_over if begin > 0 else 0.0)
        sent = max(sent, ready) + exchange(ranks, 4 * (end - begin), *link)
    passes = one / ranks
    return passes + exchange(ranks, 4 * whole, *link), max(passes, sent)


def hidden(one: float, widths: tuple[int, ...], ranks: int, link: tuple[float, float]) -> float:
    """Return the share of the exchange that is hidden in the model."""
    behind, overlapped = step(one, widths, ranks, link)
    return (behind - overlapped) / (behind - one / ranks)
