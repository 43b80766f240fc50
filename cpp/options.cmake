# SPDX-License-Identifier: BSD-3-Clause
# How everything compiled is compiled.

# The arithmetic contract forbids the compiler every liberty with roundings: no contraction into
# fma, no reassociation. errno and traps, which nobody reads, it may forget.
set(FASTRELU_OPTIONS -ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=hidden
                     -Wall -Wextra -Wconversion)
if(FASTRELU_WERROR)
  list(APPEND FASTRELU_OPTIONS -Werror)
endif()
