# SPDX-License-Identifier: BSD-3-Clause
"""The functions that C and C++ source of a network begins with; words between $ are put in."""

from __future__ import annotations

import itertools
import textwrap
from typing import NamedTuple

__all__: list[str] = []

NO_FAST_MATH = """\
#ifdef __FAST_MATH__
#error "-ffast-math would make exp and tanh below wrong"
#endif
"""

_SAID = """\
// A network of fastrelu: {sizes} ({kinds}), {T}.
//
// x has {inputs} values, y {outputs}, and J {outputs} * {inputs}, row by row:
// J[o * {inputs} + i] is the derivative of y[o] by x[i]. x must not overlap y or J. Nothing is
// allocated, locked or kept: any number of threads may call at once. The stack needs some {stack}
// bytes.
//
// Compiled with -ffp-contract=off and without -ffast-math, the results have the bits of fastrelu's
// own. fma is fast where the processor has an instruction for it and the compiler may use it: on
// x86-64, -mfma or -march=x86-64-v3.
"""

_EVALUATED = """\
#if defined(FLT_EVAL_METHOD) && (FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2)
#error "the results are exact where float and double are computed as such: on x86-32, -mfpmath=sse"
#endif
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif
"""

#: What 2^k is made with.
BITS = "#include <stdint.h>\n#include <string.h>\n"

HEAD = (
    _SAID
    + "{once}#include <float.h>\n#include <math.h>\n#include <stddef.h>\n{bits}\n"
    + _EVALUATED
    + "{fast_math}"
)

# z[o]: a chain from b[o] over the inputs, in ascending order. Four inputs are taken for each load
# and store of a sum.
_DENSE = """\
static void $N$_dense(const $T$ *restrict x, size_t n_in, size_t n_out,
                      const $T$ *restrict w, const $T$ *restrict b, $T$ *restrict z)
{
  const size_t wide = n_out <= 8 ? 0 : n_out - n_out % 8;
  size_t i, o;
$body$}
"""

_WIDE_OUTPUTS = """\
  for (o = 0; o < wide; ++o) z[o] = $start$;
  for (i = 0; i + 4 <= n_in && wide; i += 4) {
    const $T$ *const r0 = w + i * n_out, *const r1 = r0 + n_out;
    const $T$ *const r2 = r1 + n_out, *const r3 = r2 + n_out;
    const $T$ x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];
    for (o = 0; o < wide; ++o) {
      const $T$ sum = fma$f$(x1, r1[o], fma$f$(x0, r0[o], z[o]));
      z[o] = fma$f$(x3, r3[o], fma$f$(x2, r2[o], sum));
    }
  }
"""

_WIDE_REST = """\
  for (i = n_in - n_in % 4; i < n_in; ++i) {
    for (o = 0; o < wide; ++o) z[o] = fma$f$(x[i], w[i * n_out + o], z[o]);
  }
"""


def dense(sizes: list[int], biases: bool) -> str:
    """Return the function of a layer's sums: the parts of it that layers of these sizes need."""
    layers = list(itertools.pairwise(sizes))
    wide = [(n_in, n_out) for n_in, n_out in layers if n_out > 8]
    body = _WIDE_OUTPUTS if wide else ""
    if any(n_in % 4 for n_in, _ in wide):
        body += _WIDE_REST
    narrow = {n_out if n_out <= 8 else n_out % 8 for _, n_out in layers} - {0}
    body += "  o = wide;\n" + "".join(_narrow(n) for n in sorted(narrow))
    if not biases:
        body = "  (void)b;\n" + body
    text = _DENSE.replace("$body$", body)
    for k in range(9):
        text = text.replace(f"$start{k}$", f"b[o + {k}]" if biases else "0.0$f$")
    return text.replace("$start$", "b[o]" if biases else "0.0$f$")


def _narrow(n: int) -> str:
    """Return the sums of the last n outputs, each in a variable of its own."""
    begin = "".join(f"    $T$ a{k} = $start{k}$;\n" for k in range(n))
    sums = "".join(f"      a{k} = fma$f$(x[i], row[{k}], a{k});\n" for k in range(n))
    end = "".join(f"    z[o + {k}] = a{k};\n" for k in range(n))
    return (
        f"  if (n_out - o == {n}) {{\n    const $T$ *row = w + o;\n{begin}"
        f"    for (i = 0; i < n_in; ++i, row += n_out) {{\n{sums}    }}\n{end}  }}\n"
    )


def _wrapped(before: str, listed: str) -> str:
    return textwrap.fill(before + listed + ";", 98, subsequent_indent=" " * 8) + "\n"


def back(lanes: int, rows: int) -> str:
    """Return the function of the chains of `rows` units by `lanes` outputs at a time.

    Each chain is a variable of its own: compilers make vectors of those that are side by side,
    whose terms have the same weight or the same derivative.
    """
    places = [(r, k) for r in range(rows) for k in range(lanes)]
    lines = [_wrapped("    $T$ ", ", ".join(f"s{r}_{k} = 0.0$f$" for r, k in places))[:-1]]
    lines += [f"    const $T$ *const w{r} = w + rows[t + {r}] * n_out;" for r in range(rows)]
    lines.append(f"    for (c = 0, e = d; c < n_cols; ++c, e += {lanes}) {{")
    lines.append("      const size_t o = cols[c];")
    lines.append(
        _wrapped("      const $T$ ", ", ".join(f"e{k} = e[{k}]" for k in range(lanes)))[:-1]
    )
    lines.append(
        _wrapped("      const $T$ ", ", ".join(f"a{r} = w{r}[o]" for r in range(rows)))[:-1]
    )
    lines += [f"      s{r}_{k} = fma$f$(e{k}, a{r}, s{r}_{k});" for r, k in places]
    lines.append("    }")
    lines += [f"    s[{r * lanes + k}] = s{r}_{k};" for r, k in places]
    body = "\n".join(lines)
    words = {"lanes": str(lanes), "rows": str(rows), "size": str(lanes * rows), "body": body}
    text = _BACK
    for word, meaning in words.items():
        text = text.replace(f"${word}$", meaning)
    return text


# What is left out of a chain are terms of +0 times a finite number.
_BACK = """\
// s[t * $lanes$ + k]: a chain from +0 over the units in cols, d[c * $lanes$ + k] times the weight
// to the unit rows[t], for n_rows of those, and up to $rows$ more.
static void $N$_back(const $T$ *restrict d, const unsigned *restrict cols, size_t n_cols,
                     const $T$ *restrict w, size_t n_out, const unsigned *restrict rows,
                     size_t n_rows, $T$ *restrict s)
{
  const $T$ *e;
  size_t t, c;
  for (t = 0; t < n_rows; t += $rows$, s += $size$) {
$body$
  }
}
"""

# The list of the units whose slope is not +0, or of all, and as many more as BACK may read.
LISTED = """\
static size_t $N$_listed(const $T$ *a, size_t n, int all, unsigned *on)
{
  size_t i, count = 0;
  for (i = 0; i < n; ++i) {
    on[count] = (unsigned)i;
    count += (size_t)(all | (a[i] > 0.0$f$));
  }
  for (i = 0; i < $rows$; ++i) on[count + i] = 0;
  return count;
}
"""

REDUCE = """\
static inline $T$ $N$_polynomial($T$ x, const $T$ *c, int n)
{
  $T$ p = c[n - 1];
  for (n -= 2; n >= 0; --n) p = fma$f$(p, x, c[n]);
  return p;
}

// 2^k, a normal number.
static inline $T$ $N$_power_of_two(int k)
{
  const $U$ bits = ($U$)(k + $bias$) << $bits$;
  $T$ power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

// exp(r) - 1 and k for x = k ln2 + r; x is no NaN.
static inline $T$ $N$_reduce_expm1($T$ x, int *k)
{
  static const $T$ c[$n_exp$] = {$exp$};
  const $T$ shifted = fma$f$(x, $log2e$, $magic$); // this sum rounds to a whole number
  const $T$ n = shifted - $magic$;
  $T$ r = fma$f$(-n, $ln2_high$, x);
  r = fma$f$(-n, $ln2_low$, r);
  *k = (int)n;
  return fma$f$($N$_polynomial(r, c, $n_exp$), r * r, r);
}
"""

_EXP = """\
static inline $T$ $N$_exp($T$ x)
{
  $T$ p;
  int k, half;
  if (x != x) return x;
  p = $N$_reduce_expm1(x < $lowest$ ? $lowest$ : x > $highest$ ? $highest$ : x, &k) + 1.0$f$;
  half = k / 2; // two factors: 2^k alone may be out of range; the first product is exact
  return (p * $N$_power_of_two(half)) * $N$_power_of_two(k - half);
}
"""

_EXPM1 = """\
// exp(x) - 1 for x < 0.
static inline $T$ $N$_expm1_of_negative($T$ x)
{
  int k;
  const $T$ e = $N$_reduce_expm1(x < $expm1_lowest$ ? $expm1_lowest$ : x, &k);
  const $T$ power = $N$_power_of_two(k);
  return fma$f$(e, power, power - 1.0$f$);
}
"""

_TANH = """\
static inline $T$ $N$_tanh_of($T$ x)
{
  static const $T$ c[$n_tanh$] = {$tanh$};
  const $T$ a = x < 0.0$f$ ? -x : x, y = a * a;
  $T$ e, power, large;
  int k;
  if (x != x || x == 0.0$f$) return x;
  if (a < $tanh_split$) return fma$f$($N$_polynomial(y, c, $n_tanh$) * y, x, x);
  e = $N$_reduce_expm1(2.0$f$ * (a > $tanh_highest$ ? $tanh_highest$ : a), &k);
  power = $N$_power_of_two(k);
  large = 1.0$f$ - 2.0$f$ / (fma$f$(e, power, power) + 1.0$f$);
  return x < 0.0$f$ ? -large : large;
}
"""

# Of float32: computed in float64, and rounded once.
_EXP_FLOAT32 = """\
static inline float $N$_exp(float x)
{
  double e, power;
  int k;
  if (x != x) return x;
  x = x < $lowest$ ? $lowest$ : x > $highest$ ? $highest$ : x;
  e = $N$_wide_reduce_expm1((double)x, &k);
  power = $N$_wide_power_of_two(k);
  return (float)fma(e, power, power);
}
"""

_TANH_FLOAT32 = """\
static inline float $N$_tanh_of(float x)
{
  const float a = x < 0.0f ? -x : x;
  double e, power, expm1;
  float y;
  int k;
  if (x != x || x == 0.0f) return x;
  e = $N$_wide_reduce_expm1(2.0 * (double)(a > $tanh_highest$ ? $tanh_highest$ : a), &k);
  power = $N$_wide_power_of_two(k);
  expm1 = fma(e, power, power - 1.0);
  y = (float)(expm1 / (expm1 + 2.0));
  return x < 0.0f ? -y : y;
}
"""

#: For each dtype, and what of it is computed by REDUCE of float64 in float32's place.
ELEMENTARY = {
    "float32": {"exp": _EXP_FLOAT32, "expm1": _EXPM1, "tanh": _TANH_FLOAT32},
    "float64": {"exp": _EXP, "expm1": _EXPM1, "tanh": _TANH},
}
WIDE = {"float32": {"exp", "tanh"}, "float64": set[str]()}


class _Activation(NamedTuple):
    """`keeps`: the forward function keeps the derivative in a second array."""

    needs: tuple[str, ...]
    forward: str
    backward: str
    keeps: bool = False


def _forward(kind: str, value: str) -> str:
    return f"""\
static inline void $N$_{kind}($T$ *a, size_t n)
{{
  size_t i;
  for (i = 0; i < n; ++i) a[i] = {value};
}}
"""


def _backward(kind: str, value: str) -> str:
    """Return the derivatives by a's inputs from those by a, of the units listed in on."""
    value = value.replace("d[i]", "d[k]").replace("a[i]", "y")
    return f"""\
static void $N$_{kind}_backward($T$ *restrict d, const $T$ *restrict a,
                                const unsigned *restrict on, size_t n)
{{
  size_t i, k;
  for (i = 0; i < n; ++i, d += $lanes$) {{
    const $T$ y = a[on[i]];
    for (k = 0; k < $lanes$; ++k) d[k] = {value};
  }}
}}
"""


_LOGISTIC = """\
static inline $T$ $N$_logistic_of($T$ z)
{
  const $T$ e = $N$_exp(z < 0.0$f$ ? z : -z);
  return (z < 0.0$f$ ? e : 1.0$f$) / (1.0$f$ + e);
}

"""

_SILU = """\
// The derivatives go to s, if that is not null.
static inline void $N$_silu($T$ *a, $T$ *s, size_t n)
{
  size_t i;
  for (i = 0; i < n; ++i) {
    const $T$ z = a[i], e = $N$_exp(z < 0.0$f$ ? z : -z);
    const $T$ larger = 1.0$f$ / (1.0$f$ + e), smaller = e * larger;
    const $T$ p = z < 0.0$f$ ? smaller : larger, q = z < 0.0$f$ ? larger : smaller;
    a[i] = z * p;
    if (s) s[i] = fma$f$(a[i], q, p);
  }
}
"""

ACTIVATIONS = {
    "identity": _Activation((), "", ""),
    "relu": _Activation(
        (),
        _forward("relu", "a[i] < 0.0$f$ ? 0.0$f$ : a[i]"),
        _backward("relu", "a[i] > 0.0$f$ ? d[i] : 0.0$f$"),
    ),
    "leaky_relu": _Activation(
        (),
        _forward("leaky_relu", "a[i] < 0.0$f$ ? $leaky$ * a[i] : a[i]"),
        _backward("leaky_relu", "a[i] > 0.0$f$ ? d[i] : $leaky$ * d[i]"),
    ),
    "logistic": _Activation(
        ("exp",),
        _LOGISTIC + _forward("logistic", "$N$_logistic_of(a[i])"),
        _backward("logistic", "(d[i] * a[i]) * (1.0$f$ - a[i])"),
    ),
    "tanh": _Activation(
        ("tanh",),
        _forward("tanh", "$N$_tanh_of(a[i])"),
        _backward("tanh", "d[i] * fma$f$(-a[i], a[i], 1.0$f$)"),
    ),
    "elu": _Activation(
        ("expm1",),
        _forward("elu", "a[i] < 0.0$f$ ? $N$_expm1_of_negative(a[i]) : a[i]"),
        _backward("elu", "a[i] > 0.0$f$ ? d[i] : d[i] * (a[i] + 1.0$f$)"),
    ),
    "silu": _Activation(("exp",), _SILU, _backward("silu", "d[i] * a[i]"), keeps=True),
}

CPP_KEYWORDS = frozenset(
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t "
    "char32_t class compl concept const consteval constexpr constinit const_cast continue "
    "co_await co_return co_yield decltype default delete do double dynamic_cast else enum "
    "explicit export extern false float for friend goto if inline int long mutable namespace new "
    "noexcept not not_eq nullptr operator or or_eq private protected public register "
    "reinterpret_cast requires return short signed sizeof static static_assert static_cast struct "
    "switch template this thread_local throw true try typedef typeid typename union unsigned "
    "using virtual void volatile wchar_t while xor xor_eq std size_t".split()
)

#: What a class cannot be called either: its own members, types and macros of the headers.
CPP_TAKEN = (
    r"inputs|outputs|forward|jacobian|u?int(_least|_fast)?(8|16|32|64)_t|u?int(max|ptr)_t"
    r"|(ptrdiff|max_align|float|double|nullptr|div|ldiv)_t"
    r"|NULL|NAN|INFINITY|HUGE_VAL[FL]?|linux|unix"
)
