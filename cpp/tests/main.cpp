// SPDX-License-Identifier: BSD-3-Clause
// Runs the tests of the core, or those whose names contain the argument; after a minus, all others.
#include <chrono>
#include <cstdio>
#include <exception>

#include "check.h"

int main(int count, char** arguments) {
  using Clock = std::chrono::steady_clock;
  const std::string argument = count > 1 ? arguments[1] : "";
  const bool others = !argument.empty() && argument[0] == '-';
  const std::string wanted = argument.substr(others ? 1 : 0);
  int failed = 0, run = 0;
  for (const fastrelu::tests::Test& test : fastrelu::tests::all_tests()) {
    const bool named = std::string(test.name).find(wanted) != std::string::npos;
    if (named == others) continue;
    ++run;
    const auto began = Clock::now();
    std::string problem;
    try {
      test.run();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    const std::chrono::duration<double> seconds = Clock::now() - began;
    std::printf("%s %s (%.2f s)\n", problem.empty() ? "ok  " : "FAIL", test.name, seconds.count());
    if (!problem.empty()) {
      std::printf("  %s\n", problem.c_str());
      ++failed;
    }
  }
  std::printf("%d tests, %d failed\n", run, failed);
  return failed == 0 && run > 0 ? 0 : 1;
}
