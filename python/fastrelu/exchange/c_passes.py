# SPDX-License-Identifier: BSD-3-Clause
"""The passes over the layers in C and C++ source of a network; words between $ are put in.

They are loops over a table of the layers: compilers then make each function once, in place of one
for each layer's sizes, which took most of the time to compile.
"""

from __future__ import annotations

__all__: list[str] = []

SCALED = """\
  $T$ scaled[$n_in$];
  for (l = 0; l < $n_in$; ++l) scaled[l] = x[l]$scale$;
  x = scaled;"""

ACTIVATE = "    if ($where$) $N$_$kind$(h$slopes$, n);"

BACKWARD = "    if ($where$) $N$_$kind$_backward(d[l % 2], $source$ + at, on[l % 2], n);"

FORWARD = """\

// The hidden layers' activations, one layer after another, in h, and the outputs in y if that is
// not null.
static void $N$_pass(const $T$ *x, $T$ *h$slopes$, $T$ *y)
{
  size_t l, n;
$scaled$
  for (l = 0; l <= $last$; ++l, x = h, h += n) {
    n = $N$_layers[l].n_out;
    if (l == $last$) {
      if (!y) return;
      h = y;
    }
    $N$_dense(x, $N$_layers[l].n_in, n, $N$_layers[l].w, $N$_layers[l].b, h);
$activate$
$next_slopes$
  }
}
"""

# Without the units that are off, a chain lacks terms of +0 times a finite weight. They change no
# sum but one that is 0, whose sign they may change; and a derivative of another sign of 0 changes
# in turn the sign of a 0 alone. So derivatives that are not 0 are right.
ROWS = """\

// Derivatives of the outputs o and on, from those of the last layer back; of ReLU layers by the
// units that are on, or by all. Returns whether one is 0: its sign is right only if all units were
// asked for, as terms of +0 and -0 count then.
static int $N$_rows(const $T$ *h$const_slopes$, size_t o, int all, $T$ *J)
{
  $T$ d[2][$listed$ * $lanes$], g[$size$];
  unsigned on[2][$listed_all$];
  size_t l = $last$, at = $before$, n, m, i;
  int zero = 0;
  n = $N$_listed(h + at, $N$_layers[l].n_in, $all$, on[l % 2]);
  for (i = 0; i < n; ++i) {
    const $T$ *const row = $N$_layers[l].w + on[l % 2][i] * (size_t)$n_out$ + o;
    $T$ *const to = d[l % 2] + i * $lanes$;
$row$
  }
  for (;;) {
$backward$
    --l;
    at -= l ? $N$_layers[l].n_in : 0;
    m = $N$_listed(l ? h + at : $N$_layers[0].w, $N$_layers[l].n_in, l ? $all$ : 1,
                  on[l % 2]);
    if (!l) break;
    $N$_back(d[(l + 1) % 2], on[(l + 1) % 2], n, $N$_layers[l].w, $N$_layers[l].n_out, on[l % 2],
             m, d[l % 2]);
    n = m;
  }
  for (i = 0; i < m; ++i) {
    const size_t r = i % $rows$ * $lanes$;
    if (!r) $N$_back(d[1], on[1], n, $N$_layers[0].w, $N$_layers[0].n_out, on[0] + i, $rows$, g);
$to_J$
  }
  for (i = 0; i < $lanes$ * $n_in$ && !zero; ++i) zero = J[i] == 0.0$f$;
  return zero;
}
"""
