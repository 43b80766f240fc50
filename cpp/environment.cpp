// SPDX-License-Identifier: BSD-3-Clause
#include "environment.h"

#include <cstdlib>

namespace fastrelu {

std::string environment_text(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) return "";
  const std::string whole = value, blanks = " \t\n\r";
  const std::size_t begin = whole.find_first_not_of(blanks);
  if (begin == std::string::npos) return "";
  std::string text;
  for (const char c : whole.substr(begin, whole.find_last_not_of(blanks) + 1 - begin)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      const char* const digits = "0123456789abcdef";
      text += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
    }
  }
  return text;
}

}  // namespace fastrelu
