# SPDX-License-Identifier: BSD-3-Clause
"""A network as C or C++ source that computes its outputs and Jacobian to the bit.

The functions that the source begins with are those of docs/arithmetic.md, one element at a time;
the constants are those of `fastrelu.reference.elementary`. What is generated for a network is its
parameters and a call for each layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue, whole_files
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

    def in_c(self) -> str:
        name, T = self.name, self.T
        head = templates.HEAD.format(**self._words(), once="")
        forward = f"void {name}_forward(const {T} *x, {T} *y)"
        jacobian = f"void {name}_jacobian(const {T} *x, {T} *J)"
        parts = [head, f"{forward};\n{jacobian};\n", self._functions("restrict "), self._arrays()]
        parts += [f"{forward}\n{self._forward()}", f"{jacobian}\n{self._jacobian()}"]
        return "\n".join(parts)

    def in_cpp(self) -> str:
        name, T = self.name, self.T
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
        inside = f"namespace {name}_detail {{\n\n{self._functions('')}\n{self._arrays()}\n}}\n"
        return "\n".join([head, inside, body])

    def _words(self) -> dict[str, Any]:
        sizes = "-".join(map(str, self.sizes))
        kinds = ", ".join(self.activations) or "no hidden layers"
        widest = max(self.sizes)
        stack = (3 * widest + 2 * sum(self.sizes)) * self.dtype.itemsize
        return {
            "name": self.name,
            "T": self.T,
            "sizes": sizes,
            "kinds": kinds,
            "inputs": self.sizes[0],
            "outputs": self.sizes[-1],
            "stack": stack,
            "fast_math": templates.NO_FAST_MATH if self._elementary() else "",
        }

    def _elementary(self) -> set[str]:
        return {need for kind in self.activations for need in templates.ACTIVATIONS[kind].needs}

    def _functions(self, restrict: str) -> str:
        """Return the functions that the network's layers need, and no others."""
        needed = self._elementary()
        wide = templates.WIDE[self.dtype.name] & needed
        texts = [templates.DENSE]
        if len(self.sizes) > 2:
            texts.append(templates.BACK)
        if needed - wide:
            texts.append(templates.REDUCE)
        if wide:
            wide_words = _constants(np.dtype(np.float64), f"{self.name}_wide")
            texts.append(_filled(templates.REDUCE, wide_words))
        elementary = templates.ELEMENTARY[self.dtype.name]
        texts += [text for key, text in elementary.items() if key in needed]
        for kind in dict.fromkeys(self.activations):
            texts += [templates.ACTIVATIONS[kind].forward, templates.ACTIVATIONS[kind].backward]
        text = _filled("\n".join(t for t in texts if t), _constants(self.dtype, self.name))
        return text.replace("restrict ", restrict)

    def _number(self, x: Any) -> str:
        return _number(x, self.dtype)

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
            yield "  " + " ".join(f"{self._number(v)}," for v in values[begin : begin + 6])
        yield "};"

    def _input(self, p: str) -> tuple[list[str], str]:
        if self.scale == 1:
            return [], "x"
        n, scale = self.sizes[0], self._number(self.scale)
        return [
            f"  {self.T} scaled[{n}];",
            f"  for (i = 0; i < {n}; ++i) scaled[i] = x[i] * {scale};",
        ], "scaled"

    def _layer(self, p: str, k: int, x: str, z: str) -> str:
        n_in, n_out = self.sizes[k : k + 2]
        b = f"{p}_b{k}" if self.biases else "0"
        return f"  {p}_dense({x}, {n_in}, {n_out}, {p}_w{k}, {b}, {z});"

    def _forward(self, prefix: str | None = None) -> str:
        """Return the body: the layers' outputs in two arrays by turns."""
        p, last = prefix or self.name, len(self.weights) - 1
        first, x = self._input(p)
        declared = [
            f"  {self.T} h{k}[{max(w)}];" for k in (0, 1) if (w := self._widths_by_turns(k))
        ]
        if first:
            declared += [first[0], "  size_t i;"]
        lines = first[1:]
        for k in range(last + 1):
            z = "y" if k == last else f"h{k % 2}"
            lines.append(self._layer(p, k, x, z))
            if k < last and templates.ACTIVATIONS[self.activations[k]].forward:
                kind, n = self.activations[k], self.sizes[k + 1]
                slopes = ", 0" if templates.ACTIVATIONS[kind].keeps else ""
                lines.append(f"  {p}_{kind}({z}{slopes}, {n});")
            x = z
        return "\n".join(["{", *declared, *lines, "}\n"])

    def _widths_by_turns(self, k: int) -> list[int]:
        return self.sizes[1:-1][k::2]

    def _jacobian(self, prefix: str | None = None) -> str:
        """Return the body: a forward pass that keeps the activations, a backward one by output."""
        p, T, last = prefix or self.name, self.T, len(self.weights) - 1
        kept = {k: templates.ACTIVATIONS[a] for k, a in enumerate(self.activations)}
        first, x = self._input(p) if last else ([], "x")
        declared, lines = first[:1], first[1:]
        declared += [f"  {T} h{k}[{n}];" for k, n in enumerate(self.sizes[1:-1])]
        declared += [f"  {T} s{k}[{self.sizes[k + 1]}];" for k in kept if kept[k].keeps]
        for k in range(last):
            lines.append(self._layer(p, k, x, f"h{k}"))
            if kept[k].forward:
                slopes = f", s{k}" if kept[k].keeps else ""
                lines.append(f"  {p}_{self.activations[k]}(h{k}{slopes}, {self.sizes[k + 1]});")
            x = f"h{k}"
        inner, arrays = self._backward(p, kept)
        declared += [f"  {T} {d}[{n}];" for d, n in arrays.items()]
        declared.append("  size_t i, o;")
        if not last:
            lines.append("  (void)x;")
        loop = [f"  for (o = 0; o < {self.sizes[-1]}; ++o) {{", *inner, "  }"]
        return "\n".join(["{", *declared, *lines, *loop, "}\n"])

    def _backward(self, p: str, kept: dict[int, Any]) -> tuple[list[str], dict[str, int]]:
        """Return the statements for output o, and the arrays that they need."""
        last, n_out = len(self.weights) - 1, self.sizes[-1]
        row = f"(J + o * {self.sizes[0]})"
        arrays: dict[str, int] = {}

        def place(k: int) -> str:
            """Return where the derivatives by the inputs of layer k are."""
            if k == 0:
                return row
            arrays[f"d{k % 2}"] = max(arrays.get(f"d{k % 2}", 0), self.sizes[k])
            return f"d{k % 2}"

        d = place(last)
        # A chain from +0 with one term that is not +-0 is that weight, but for -0.
        of = f"{p}_w{last}[i * {n_out} + o] + 0.0{self.f}"
        lines = [f"    for (i = 0; i < {self.sizes[last]}; ++i) {d}[i] = {of};"]
        for k in range(last - 1, -1, -1):
            if kept[k].backward:
                source = f"s{k}" if kept[k].keeps else f"h{k}"
                kind, n = self.activations[k], self.sizes[k + 1]
                lines.append(f"    {p}_{kind}_backward({d}, {source}, {n});")
            to = place(k)
            n_in, n = self.sizes[k : k + 2]
            lines.append(f"    {p}_back({d}, {n_in}, {n}, {p}_w{k}, {to});")
            d = to
        if self.scale != 1:
            scale = self._number(self.scale)
            lines.append(f"    for (i = 0; i < {self.sizes[0]}; ++i) {row}[i] *= {scale};")
        return lines, arrays


def _indented(body: str) -> str:
    return "\n".join("  " + line for line in body.splitlines())
