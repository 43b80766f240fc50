// SPDX-License-Identifier: BSD-3-Clause
#include "independent_runs.h"

#include <chrono>
#include <thread>

namespace fastrelu {

void wait_and_ask(const std::atomic<unsigned>& at_work, SharedStop& stop) {
  while (at_work.load() > 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    stop.stopped(true);
  }
}

}  // namespace fastrelu
