# SPDX-License-Identifier: BSD-3-Clause
"""A network as C or C++ source that computes its outputs and Jacobian to the bit.

The functions that the source begins with are those of docs/arithmetic.md, one element at a time;
the constants are those of `fastrelu.reference.elementary`. What is generated for a network is its
parameters and a call for each layer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue, whole_files
from fastrelu.exchange import c_passes as passes
from fastrelu.exchange import c_templates as templates

if TYPE_CHECKING:
    from fastrelu.network import Network

__all__ = ["write_c", "write_cpp"]

Array = NDArray[Any]


def write_c(net: Network, path: Any, name: str) -> None:
    """Write a network as a C99 file; ``net.to_c(path, name)`` calls this.

    Parameters
    ----------
    net : Network
        The network.
    path : path-like
        The file.
    name : str
        What its names begin with.

    Raises
    ------
    TypeError, ValueError, OSError
        If an argument does not fit, or the file cannot be written.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu.exchange import c_source
    >>> c_source.write_c(fastrelu.Network([2, 1]), "net.c", "net")
    """
    _check_name(name, "C")
    source = _Source(net, name)
    whole_files.write_bytes(path, source.in_c().encode("ascii"))


def write_cpp(net: Network, path: Any, name: str) -> None:
    """Write a network as a C++ header; ``net.to_cpp(path, name)`` calls this.

    Parameters
    ----------
    net : Network
        The network.
    path : path-like
        The file.
    name : str
        The name of its class.

    Raises
    ------
    TypeError, ValueError, OSError
        If an argument does not fit, or the file cannot be written.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu.exchange import c_source
    >>> c_source.write_cpp(fastrelu.Network([2, 1]), "net.h", "net")
    """
    _check_name(name, "C++")
    if name in templates.CPP_KEYWORDS:
        raise ValueError(f"name: expected a name for a class of C++, got its keyword {name!r}")
    if re.fullmatch(templates.CPP_TAKEN, name):
        raise ValueError(
            f"name: expected a name for a class of C++, got {name!r}, which is a member's, or one "
            "of the standard headers or of compilers"
        )
    source = _Source(net, name)
    whole_files.write_bytes(path, source.in_cpp().encode("ascii"))


def _check_name(name: Any, language: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected a str, got {type(name).__name__}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", name):
        raise ValueError(
            f"name: expected a name in {language} that begins with a letter, of at most 60 "
            f"letters, digits and underscores, got {name!r}"
        )


#: The C type, the ending of its literals and functions, and the integer of its size.
_C_TYPES = {"float32": ("float", "f", "uint32_t"), "float64": ("double", "", "uint64_t")}


def _number(x: Any, dtype: np.dtype[Any]) -> str:
    """Return the shortest literal that is read as x again, rounded to the dtype."""
    text = str(dtype.type(x))
    return (text if re.search(r"[.e]", text) else text + ".0") + _C_TYPES[dtype.name][1]


def _constants(dtype: np.dtype[Any], name: str) -> dict[str, str]:
    """Return what the words of the templates stand for."""
    from fastrelu.reference.elementary import constants

    c = constants(dtype)
    T, f, integer = _C_TYPES[dtype.name]
    numbers = {
        "magic": c.round_magic,
        "log2e": c.log2e,
        "ln2_high": c.ln2_high,
        "ln2_low": c.ln2_low,
        "lowest": c.exp_lowest,
        "highest": c.exp_highest,
        "tanh_highest": c.tanh_highest,
        "expm1_lowest": -2 * c.tanh_highest,
        "tanh_split": 0.55,
        "leaky": _catalogue.ACTIVATIONS["leaky_relu"].slope,
    }
    return {
        "N": name,
        "T": T,
        "f": f,
        "U": integer,
        "bits": str(c.mantissa_bits),
        "bias": str(c.bias),
        "exp": ", ".join(_number(each, dtype) for each in c.exp),
        "n_exp": str(len(c.exp)),
        "tanh": ", ".join(_number(each, dtype) for each in c.tanh),
        "n_tanh": str(len(c.tanh)),
        **{word: _number(value, dtype) for word, value in numbers.items()},
    }


def _filled(text: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace(f"${word}$", meaning)
    return text


def _block(n_out: int, itemsize: int) -> tuple[int, int]:
    """Return how many outputs, and how many units, have their chains side by side.

    Some 128 bytes of sums are what compilers keep in registers.
    """
    if n_out in (1, 2, 3, 4, 8):
        lanes = n_out
    else:
        lanes = min((8, 4), key=lambda each: -(-n_out // each) * each) if n_out > 8 else 4
    return lanes, max(1, min(8, 128 // (itemsize * lanes)))


class _Source:
    """The parts of the text; `T` is the C type, `f` the ending of its literals and functions."""

    def __init__(self, net: Network, name: str) -> None:
        with net._reading():
            self.weights = [w.copy() for w in net.weights]
            self.biases = [b.copy() for b in net.biases]
        bad = sum(int((~np.isfinite(a)).sum()) for a in [*self.weights, *self.biases])
        if bad:
            raise ValueError(
                f"the network has {bad} parameters that are not finite numbers, which C source "
                "has no literals for"
            )
        unknown = set(net.activations) - templates.ACTIVATIONS.keys()
        if unknown:
            raise ValueError(f"C source knows no activation {', '.join(sorted(unknown))}")
        self.name, self.sizes, self.activations = name, net.layer_sizes, net.activations
        self.scale, self.dtype = net.scale, net.dtype
        self.T, self.f, _ = _C_TYPES[net.dtype.name]
        self.block = _block(self.sizes[-1], net.dtype.itemsize)
        self.keeps = any(templates.ACTIVATIONS[a].keeps for a in self.activations)

    def in_c(self) -> str:
        name, T, self.hexadecimal = self.name, self.T, True
        head = templates.HEAD.format(**self._words(), once="")
        forward = f"void {name}_forward(const {T} *x, {T} *y)"
        jacobian = f"void {name}_jacobian(const {T} *x, {T} *J)"
        parts = [head, f"{forward};\n{jacobian};\n", self._functions("restrict "), self._arrays()]
        parts += [self._passes(), f"{forward}\n{self._forward(name)}"]
        parts.append(f"{jacobian}\n{self._jacobian(name)}")
        return "\n".join(parts)

    def in_cpp(self) -> str:
        name, T, self.hexadecimal = self.name, self.T, False  # C++11 has no such literals
        head = templates.HEAD.format(**self._words(), once="#pragma once\n\n")
        inner = f"{name}_detail::{name}"
        lines = [
            f"struct {name} {{",
            f"  enum : size_t {{ inputs = {self.sizes[0]}, outputs = {self.sizes[-1]} }};",
            f"  static void forward(const {T} *x, {T} *y) noexcept",
            _indented(self._forward(inner)),
            f"  static void jacobian(const {T} *x, {T} *J) noexcept",
            _indented(self._jacobian(inner)),
            "};\n",
        ]
        body = "\n".join(lines)
        inside = [self._functions("__restrict "), self._arrays(), self._passes()]
        inside = [f"namespace {name}_detail {{\n", *inside, "}\n"]
        return "\n".join([head, *inside, body])

    def _words(self) -> dict[str, Any]:
        sizes = "-".join(map(str, self.sizes))
        kinds = ", ".join(self.activations) or "no hidden layers"
        lanes, rows = self.block
        numbers = 2 * sum(self.sizes) + 2 * (max(self.sizes) + rows) * lanes + rows * lanes
        stack = numbers * self.dtype.itemsize + 8 * (max(self.sizes) + 2 * rows) + 256
        return {
            "name": self.name,
            "T": self.T,
            "sizes": sizes,
            "kinds": kinds,
            "inputs": self.sizes[0],
            "outputs": self.sizes[-1],
            "stack": stack,
            "bits": templates.BITS if self._elementary() else "",
            "fast_math": templates.NO_FAST_MATH if self._elementary() else "",
        }

    def _elementary(self) -> set[str]:
        return {need for kind in self.activations for need in templates.ACTIVATIONS[kind].needs}

    def _functions(self, restrict: str) -> str:
        """Return the functions that the network's layers need, and no others."""
        needed = self._elementary()
        wide = templates.WIDE[self.dtype.name] & needed
        texts = [templates.dense(self.sizes, bool(self.biases))]
        if self.activations:
            texts += [templates.back(*self.block), templates.LISTED]
        if needed - wide:
            texts.append(templates.REDUCE)
        if wide:
            wide_words = _constants(np.dtype(np.float64), f"{self.name}_wide")
            texts.append(_filled(templates.REDUCE, wide_words))
        elementary = templates.ELEMENTARY[self.dtype.name]
        texts += [text for key, text in elementary.items() if key in needed]
        for kind in dict.fromkeys(self.activations):
            texts += [templates.ACTIVATIONS[kind].forward, templates.ACTIVATIONS[kind].backward]
        lanes, rows = self.block
        words = _constants(self.dtype, self.name) | {"lanes": str(lanes), "rows": str(rows)}
        text = _filled("\n".join(t for t in texts if t), words)
        return text.replace("restrict ", restrict)

    def _number(self, x: Any) -> str:
        return _number(x, self.dtype)

    def _weight(self, x: Any) -> str:
        """Return a parameter's literal: in C a hexadecimal one, which compilers read faster."""
        return float(x).hex().replace("p+", "p") + self.f if self.hexadecimal else self._number(x)

    def _arrays(self) -> str:
        lines: list[str] = []
        for k, w in enumerate(self.weights):
            lines += self._array(f"{self.name}_w{k}", w.ravel(), f"{w.shape[0]} * {w.shape[1]}")
            if self.biases:
                lines += self._array(f"{self.name}_b{k}", self.biases[k], str(w.shape[1]))
        return "\n".join(lines) + "\n"

    def _array(self, name: str, values: Array, size: str) -> Iterable[str]:
        yield f"static const {self.T} {name}[{size}] = {{"
        for begin in range(0, values.size, 6):
            yield "  " + " ".join(f"{self._weight(v)}," for v in values[begin : begin + 6])
        yield "};"

    def _passes(self) -> str:
        """Return the layers as a table, and what runs over them."""
        p, T, last = self.name, self.T, len(self.weights) - 1
        b = [f"{p}_b{k}" if self.biases else "0" for k in range(last + 1)]
        pairs = enumerate(itertools.pairwise(self.sizes))
        rows = [f"  {{{n}, {m}, {p}_w{k}, {b[k]}}}," for k, (n, m) in pairs]
        words = self._pass_words()
        parts = [
            f"static const struct {{\n  size_t n_in, n_out;\n  const {T} *w, *b;",
            f"}} {p}_layers[{last + 1}] = {{",
            *rows,
            "};\n",
            _filled(passes.FORWARD, words),
        ]
        if last:
            parts.append(_filled(passes.ROWS, words))
        return "\n".join(line for part in parts for line in part.splitlines() if line != "$") + "\n"

    def _pass_words(self) -> dict[str, str]:
        """Return what the words of the templates of passes.py stand for."""
        lanes, rows = self.block
        hidden = self.sizes[1:-1] or [1]
        scale = "" if self.scale == 1 else f" * {self._number(self.scale)}"
        words = {
            "scaled": passes.SCALED if scale else "$",
            "activate": self._by_kind(passes.ACTIVATE, forward=True),
            "backward": self._by_kind(passes.BACKWARD, forward=False),
            "all": self._all_of("l"),
            "N": self.name,
            "T": self.T,
            "f": self.f,
            "lanes": lanes,
            "rows": rows,
            "size": lanes * rows,
            "last": len(self.weights) - 1,
            "n_in": self.sizes[0],
            "n_out": self.sizes[-1],
            "hidden": sum(hidden),
            "before": sum(hidden[:-1]),
            "listed": max(hidden) + rows,
            "listed_all": max(self.sizes[:-1]) + rows,
            "scale": scale,
            "slopes": f", {self.T} *s" if self.keeps else "",
            "const_slopes": f", const {self.T} *s" if self.keeps else "",
            "next_slopes": "    if (s) s += n;" if self.keeps else "$",
            "row": "".join(f"    to[{k}] = row[{k}] + 0.0{self.f};\n" for k in range(lanes))[:-1],
            "to_J": "".join(
                f"    J[{k} * {self.sizes[0]} + i] = g[r + {k}]{scale};\n" for k in range(lanes)
            )[:-1],
        }
        return {word: str(meaning) for word, meaning in words.items()}

    def _where(self, kind: str, layer: str) -> str:
        """Return the condition that hidden layer number `layer` is of a kind."""
        numbers = [k for k, each in enumerate(self.activations) if each == kind]
        return " || ".join(f"{layer} == {k}" for k in numbers)

    def _by_kind(self, statement: str, forward: bool) -> str:
        """Return a statement for each kind of activation, for the layers that have it."""
        lines = []
        for kind in dict.fromkeys(self.activations):
            activation = templates.ACTIVATIONS[kind]
            if not (activation.forward if forward else activation.backward):
                continue
            slopes = (", s" if activation.keeps else "") if forward else ""
            words = {
                "where": self._where(kind, "l" if forward else "l - 1"),
                "kind": kind,
                "slopes": slopes,
                "source": "s" if activation.keeps else "h",
            }
            lines.append(_filled(statement, words))
        return "\n".join(lines) or "$"

    def _all_of(self, layer: str) -> str:
        """Return whether all units are listed: those of ReLU layers only if all are wanted."""
        where = self._where("relu", f"{layer} - 1")
        return f"all || !({where})" if where else "all"

    def _forward(self, p: str) -> str:
        n = sum(self.sizes[1:-1]) or 1
        slopes = ", 0" if self.keeps else ""
        return f"{{\n  {self.T} h[{n}];\n  {p}_pass(x, h{slopes}, y);\n}}\n"

    def _jacobian(self, p: str) -> str:
        n_in, n_out = self.sizes[0], self.sizes[-1]
        if not self.activations:
            # A chain from +0 with one term that is not +-0 is that weight, but for -0.
            scale = "" if self.scale == 1 else f" * {self._number(self.scale)}"
            weight = f"({p}_w0[i * {n_out} + o] + 0.0{self.f}){scale}"
            return "\n".join(
                ["{", "  size_t i, o;", "  (void)x;", f"  for (o = 0; o < {n_out}; ++o) {{",
                 f"    for (i = 0; i < {n_in}; ++i) J[o * {n_in} + i] = {weight};", "  }", "}\n"]
            )  # fmt: skip
        lanes, n = self.block[0], sum(self.sizes[1:-1])
        s = ", s" if self.keeps else ""
        declared = f"  {self.T} h[{n}]{f', s[{n}]' if s else ''};"
        rows = f"{p}_rows(h{s}, o, $, J + o * {n_in})"
        if "relu" in self.activations:
            call = f"for (all = 0; {rows.replace('$', 'all')} && !all; all = 1) {{}}"
        else:
            call = f"(void){rows.replace('$', '1')};"
        if "relu" in self.activations:
            declared += "\n  int all;"
        body = [declared, "  size_t o = 0;", f"  {p}_pass(x, h{s}, 0);"]
        if n_out == lanes:
            return "\n".join(["{", *body, f"  {call}", "}\n"])
        loop = [
            f"  for (; o < {n_out}; o += {lanes}) {{",
            f"    if (o > {n_out - lanes}) o = {n_out - lanes};",
            f"    {call}",
            "  }",
        ]
        return "\n".join(["{", *body, *loop, "}\n"])


def _indented(body: str) -> str:
    return "\n".join("  " + line for line in body.splitlines())
