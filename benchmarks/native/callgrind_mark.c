// SPDX-License-Identifier: BSD-3-Clause
// Ends one count of callgrind's and begins the next; nothing outside valgrind.
#include <valgrind/callgrind.h>

void mark(const char* label) { CALLGRIND_DUMP_STATS_AT(label); }
