#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# GCC 12 leaves out the rounding of two neighbouring doubles to float, without any option that allows it.
#
# Expected: a double that is converted to float and back has float's 24 bits, at every level of optimization, as
#   the C++ standard says of a conversion, and as -ffast-math alone would let a compiler forget.
# Seen (GCC 12.2, x86-64): with -O2 and -O3 two numbers that lie side by side in memory come back as they were;
#   with -O1, or with -fno-tree-slp-vectorize, they are rounded. One number alone is rounded. GCC 13.3, 14.2
#   and Clang 14 round both at every level.
# What it means: float32 functions that are computed in float64 and rounded once have other bits in one build
#   than in another; fastrelu names the instructions and leaves that pass out (docs/kernels.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
compiler=$(command -v g++-12 || command -v g++)
version=$("$compiler" -dumpfullversion)
if [ "${version%%.*}" != 12 ]; then
  echo "this is GCC $version, and the finding is about GCC 12: apt-get install g++-12"
  exit 1
fi
cat >"$folder/two.cc" <<'CPP'
void two(const double* in, double* out) {
  const float first = static_cast<float>(in[0]), second = static_cast<float>(in[1]);
  out[0] = first;
  out[1] = second;
}
void one(const double* in, double* out) {
  const float first = static_cast<float>(in[0]);
  out[0] = first;
}
CPP
cat >"$folder/main.cc" <<'CPP'
#include <cstdio>
void two(const double* in, double* out);
void one(const double* in, double* out);
int main() {
  const double in[2] = {1.0 / 3, 2.0 / 3};
  double pair[2], alone[1];
  two(in, pair);
  one(in, alone);
  std::printf("%s %s\n", alone[0] == in[0] ? "kept" : "rounded",
              pair[0] == in[0] && pair[1] == in[1] ? "kept" : "rounded");
}
CPP
echo "GCC $version - expected: 'rounded rounded' (one number, two numbers) at every level"
try() {  # WANTED OPTIONS...
  local wanted=$1 seen
  shift
  "$compiler" "$@" "$folder/two.cc" "$folder/main.cc" -o "$folder/program"
  seen=$("$folder/program")
  echo "$*: $seen"
  [ "$seen" = "$wanted" ] || { echo "changed: '$wanted' was seen before"; exit 1; }
}
try "rounded rounded" -O0
try "rounded rounded" -O1
try "rounded kept" -O2
try "rounded kept" -O3
try "rounded rounded" -O2 -fno-tree-slp-vectorize
echo "as described"
