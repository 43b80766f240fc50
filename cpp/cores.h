// SPDX-License-Identifier: BSD-3-Clause
// The processors that a thread may use: its affinity mask, and the CPU quotas of the control groups
// that the process is in. Any thread; what is found is looked at again after a moment, since both
// may change while a process runs.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

namespace fastrelu {

// The affinity mask of a thread.
class CoreSet {
 public:
  static CoreSet of_this_thread();
  unsigned count() const;
  bool operator==(const CoreSet& other) const;
  bool operator!=(const CoreSet& other) const { return !(*this == other); }
  // Moves the calling thread to these; nothing happens where the system refuses.
  void take() const;

 private:
#if defined(__linux__)
  cpu_set_t mask_;
  bool known_ = false;
#endif
};

// The mask of the calling thread as it was a millisecond ago, or is.
const CoreSet& own_cores();
// Cores of the calling thread, and no more than the quotas allow; at least 1. `now`: not as they
// were a moment ago.
unsigned usable_cores(bool now = false);

}  // namespace fastrelu
