// SPDX-License-Identifier: BSD-3-Clause
// Variables of the environment, read where they first matter: getenv beside another thread's setenv
// is undefined, so nothing reads them again and again.
#pragma once

#include <string>

namespace fastrelu {

// A variable without the blanks around it; "" if it is not set or has nothing else. Bytes that are
// no printable ASCII stand as \xNN, so that a message may quote what it refuses.
std::string environment_text(const char* name);

}  // namespace fastrelu
