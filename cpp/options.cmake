# SPDX-License-Identifier: BSD-3-Clause
# How everything compiled is compiled.

# The arithmetic contract forbids the compiler every liberty with roundings: no contraction into
# fma, no reassociation. errno and traps, which nobody reads, it may forget.
set(FASTRELU_OPTIONS -ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=hidden
                     -Wall -Wextra -Wconversion)
# GCC before 13, vectorizing straight-line code, leaves out two neighbouring roundings to float
# (docs/kernels.md, What a compiler may not do; core_tests has the smallest case).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND FASTRELU_OPTIONS -fno-tree-slp-vectorize)
endif()
if(FASTRELU_WERROR)
  list(APPEND FASTRELU_OPTIONS -Werror)
endif()
