#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What Zig's Clang compiles is told that the processor has no feature at all.
#
# Expected: __builtin_cpu_supports("sse2") is true on every x86-64 processor, "avx2" where /proc/cpuinfo
#   says so, as in programs of GCC and of Clang itself.
# Seen (ziglang 0.17.1, Clang 22.1.8, x86-64 Linux): both are false. The run-time library has a
#   __cpu_indicator_init that asks nothing and a __cpu_model of zeros, so that nothing fails to link.
# What it means: a library that chooses its kernels so runs those for the oldest processor, without a word;
#   fastrelu asks the processor itself (cpp/dispatch.cpp), and the release script checks what a wheel finds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ziglang==0.17.1
cat > "$folder/ask.c" <<'C'
#include <stdio.h>
int main(void) {
  __builtin_cpu_init();
  printf("%d\n", __builtin_cpu_supports("sse2") != 0);
  return 0;
}
C
cc -O1 -o "$folder/cc" "$folder/ask.c"
"$folder/venv/bin/python" -m ziglang cc -O1 -o "$folder/zig" "$folder/ask.c"
echo "expected: sse2 is found, 1, by both"
echo "cc: $("$folder/cc"), zig cc: $("$folder/zig")"
test "$("$folder/cc")" = 1
test "$("$folder/zig")" = 0
echo "as described"
