#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# GCC 12 converts a vector of bytes to floats one by one, where it makes vectors of the same loop.
#
# Expected: __builtin_convertvector of 16 bytes to 16 floats, the vectors that a programmer has named, becomes
#   a widening of bytes to 32 bits and one conversion, as AVX-512 has both, and as the plain loop does.
# Seen (GCC 12.2, -O3, AVX-512): 16 conversions of single numbers (vcvtusi2ss), and their lanes are put together
#   by shuffles; by way of a vector of 32-bit integers the bytes are still taken out one by one. The loop
#   over the 16 numbers has no single conversion. Clang 14 makes two instructions of all three.
# What it means: 784 columns of uint8 took 0.36 ns a number more than floats four times as large; fastrelu
#   names the two instructions (cpp/kernels/rows-inl.h, load_bytes).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
compiler=$(command -v g++-12 || command -v g++)
version=$("$compiler" -dumpfullversion)
if [ "${version%%.*}" != 12 ]; then
  echo "this is GCC $version, and the finding is about GCC 12: apt-get install g++-12"
  exit 1
fi
cat >"$folder/bytes.cc" <<'CPP'
#include <cstdint>
#include <cstring>
typedef std::uint8_t Bytes __attribute__((vector_size(16)));
typedef std::int32_t Whole __attribute__((vector_size(64)));
typedef float Floats __attribute__((vector_size(64)));
extern "C" void at_once(const std::uint8_t* in, float* out) {
  Bytes bytes;
  std::memcpy(&bytes, in, sizeof bytes);
  const Floats floats = __builtin_convertvector(bytes, Floats);
  std::memcpy(out, &floats, sizeof floats);
}
extern "C" void by_integers(const std::uint8_t* in, float* out) {
  Bytes bytes;
  std::memcpy(&bytes, in, sizeof bytes);
  const Floats floats = __builtin_convertvector(__builtin_convertvector(bytes, Whole), Floats);
  std::memcpy(out, &floats, sizeof floats);
}
extern "C" void loop(const std::uint8_t* __restrict in, float* __restrict out) {
  for (int i = 0; i < 16; ++i) out[i] = in[i];
}
CPP
"$compiler" -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512 \
  -S -o "$folder/bytes.s" "$folder/bytes.cc"
count() {  # FUNCTION PATTERN
  awk -v name="$1:" '$1 == name {inside = 1} inside {print} /\.cfi_endproc/ {inside = 0}' \
    "$folder/bytes.s" | grep -cE "$2" || true
}
echo "GCC $version - expected: no number by itself in any of the three"
seen="$(count at_once 'cvtu?si2ss') $(count by_integers 'movzbl') $(count loop 'cvtu?si2ss|movzbl')"
echo "conversions one by one, bytes one by one, either in the loop: $seen"
set -- $seen
if [ "$1" -ne 16 ] || [ "$2" -lt 8 ] || [ "$3" -ne 0 ]; then
  echo "changed: 16 conversions, at least 8 bytes, and none were seen before"
  exit 1
fi
echo "as described"
