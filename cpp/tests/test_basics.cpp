// SPDX-License-Identifier: BSD-3-Clause
// What the rest stands on: random numbers, elementary functions, dispatch, threads, columns.
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <thread>

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "dropout.h"
#include "elementary_check.h"
#include "fixtures.h"
#include "random.h"
#include "standardize.h"
#include "thread_choice.h"
#include "tuning.h"

namespace fastrelu::tests {
namespace {

// Two neighbouring numbers, rounded to float32 and back. Not inlined: in a larger function the
// compiler may make of it what it does not make of it here.
__attribute__((noinline)) void round_two(const double* in, double* out) {
  const float first = static_cast<float>(in[0]), second = static_cast<float>(in[1]);
  out[0] = first;
  out[1] = second;
}

// Numbers of every magnitude, both signs, and what is no number.
template <class T>
std::vector<T> all_kinds_of_numbers() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x{T(0),
                   Limits::denorm_min(),
                   Limits::min(),
                   T(1e-8),
                   T(0.5),
                   T(1),
                   T(2),
                   T(88.8),
                   T(710),
                   T(1e30),
                   Limits::max(),
                   Limits::infinity(),
                   Limits::quiet_NaN(),
                   Limits::epsilon()};
  for (int exponent = Limits::min_exponent - Limits::digits; exponent < Limits::max_exponent;
       exponent += 7) {
    x.push_back(std::ldexp(T(1.37), exponent));
  }
  const std::size_t half = x.size();
  for (std::size_t i = 0; i < half; ++i) x.push_back(-x[i]);
  return x;
}

}  // namespace

TEST(philox_known_answers) {  // Random123's kat_vectors, philox4x64 10
  const std::uint64_t all = ~std::uint64_t{0};
  using Words = std::array<std::uint64_t, 4>;
  const std::string before = active_isa();
  for (const std::string& isa : available_isas()) {
    const Context where(isa);
    select_isa(isa);
    CHECK(philox_block({0, 0, 0, 0}, {0, 0}) ==
          (Words{0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b, 0x7e68b68aec7ba23b}));
    CHECK(philox_block({all, all, all, all}, {all, all}) ==
          (Words{0x87b092c3013fe90b, 0x438c3c67be8d0224, 0x9cc7d7c69cd777b6, 0xa09caebf594f0ba0}));
    CHECK(philox_block(
              {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89},
              {0x452821e638d01377, 0xbe5466cf34e90c6c}) ==
          (Words{0xa528f45403e61d95, 0x38c72dbd566e9788, 0xa5a1610e72fd18b5, 0x57bd43b5e52b7fe6}));
    RandomStream stream(7, Purpose::subset, 3, 4);  // however many blocks it makes at once
    for (std::uint64_t block = 0; block < 100; ++block) {
      for (const std::uint64_t word :
           philox_block({block, 3, 4, 0}, {7, static_cast<std::uint64_t>(Purpose::subset)})) {
        CHECK(stream.next() == word);
      }
    }
  }
  select_isa(before);
}

// The masks of some rows and units, all activations being 1, on one instruction set.
template <class T>
std::vector<T> masked(std::size_t first_row, std::size_t units, std::size_t rows) {
  const std::vector<double> rates{0.25, 0.625};
  const Dropout dropout{&rates, 5, 7, first_row};
  const std::size_t panels = panel_count<T>(rows);
  std::vector<T> values(panels * units * kPanel<T>, T(1));
  drop_units(dropout, 1, Panels<T>{values.data(), units * kPanel<T>, rows}, Range{0, units},
             Range{0, panels});
  return values;
}

TEST(masks_are_equal_everywhere_also_beyond_2_to_the_32_rows) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const std::size_t units = 21, beyond = std::size_t{1} << 32, near = beyond - 5;
    const std::string before = active_isa();
    std::vector<std::vector<T>> found;
    for (const std::string& isa : available_isas()) {
      select_isa(isa);
      found.push_back(masked<T>(near, units, 40));
      CHECK(found.back() == found.front());
      // Row 5 of these is row 0 of those; rows 2^32 apart have masks of their own.
      const std::vector<T> later = masked<T>(beyond, units, 8), first = masked<T>(0, units, 8);
      std::size_t unlike = 0;
      for (std::size_t unit = 0; unit < units; ++unit) {
        for (std::size_t row = 0; row < 8; ++row) {
          const std::size_t at = unit * kPanel<T> + row;
          CHECK(found.back()[at + 5] == later[at]);
          CHECK(later[at] == T(0) || later[at] == static_cast<T>(1 / 0.375));
          unlike += later[at] != first[at];
        }
      }
      CHECK(unlike > 0);
    }
    select_isa(before);
  });
}

TEST(orders_and_subsets_are_such) {
  for (const std::size_t n : Sizes{0, 1, 2, 17, 1000}) {
    std::vector<Index> order(n);
    draw_order(3, Purpose::row_order, 0, 1, 5, n, order.data());
    std::vector<bool> seen(n);
    for (const Index row : order) {
      CHECK(row >= 5 && row < 5 + static_cast<Index>(n) &&
            !seen[static_cast<std::size_t>(row - 5)]);
      seen[static_cast<std::size_t>(row - 5)] = true;
    }
    for (const std::size_t m : {std::size_t{0}, n / 2, n}) {
      std::vector<std::uint8_t> taken(n);
      std::vector<Index> rows(m);
      draw_subset(3, 8, n, m, rows.data(), taken.data());
      std::vector<bool> there(n);
      for (const Index row : rows) {
        CHECK(row >= 0 && row < static_cast<Index>(n) && !there[static_cast<std::size_t>(row)]);
        there[static_cast<std::size_t>(row)] = true;
      }
      for (const std::uint8_t each : taken) CHECK(each == 0);
      if (n == 0) continue;
      draw_with_replacement(3, 8, n, m, rows.data());
      for (const Index row : rows) CHECK(row >= 0 && row < static_cast<Index>(n));
    }
  }
  RandomStream stream(1, Purpose::subset, 0, 0);
  for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{3}, ~std::uint64_t{0}}) {
    for (int i = 0; i < 100; ++i) CHECK(stream.below(n) < n);
  }
  for (int i = 0; i < 100; ++i) {
    const double u = stream.uniform();
    CHECK(u >= 0 && u < 1);
  }
}

TEST(elementary_functions_of_all_numbers) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const std::vector<T> x = all_kinds_of_numbers<T>();
    const auto all = [&](auto function) {
      return equal_everywhere([&] {
        std::vector<T> out(x.size());
        (kernels<T>().*function)(x.data(), out.data(), x.size());
        return out;
      });
    };
    using Table = KernelTable<T>;
    const auto close = [&](const std::vector<T>& found, double (*exact)(double)) {
      for (std::size_t i = 0; i < x.size(); ++i) {
        const Context value("of " + std::to_string(x[i]));
        const double wanted = exact(static_cast<double>(x[i]));
        const T rounded = static_cast<T>(wanted);
        if (!std::isfinite(rounded)) {
          CHECK(std::isnan(wanted) ? found[i] != found[i] : found[i] == rounded);
          continue;
        }
        const T ulp = std::nextafter(std::abs(rounded), std::numeric_limits<T>::infinity()) -
                      std::abs(rounded);
        CHECK(std::abs(static_cast<double>(found[i]) - wanted) <= 2 * static_cast<double>(ulp));
      }
    };
    close(all(&Table::exp), [](double v) { return std::exp(v); });
    close(all(&Table::log), [](double v) { return std::log(v); });
    close(all(&Table::log1p), [](double v) { return std::log1p(v); });
    close(all(&Table::tanh), [](double v) { return std::tanh(v); });
  });
}

TEST(the_compiler_leaves_no_rounding_out) {  // docs/kernels.md: GCC 12 did
  std::array<double, 2> in{1.0 / 3, 2.0 / 3}, out{};
  const std::array<double, 2> rounded{0x1.555556p-2, 0x1.555556p-1};
  round_two(in.data(), out.data());
  CHECK(out == rounded);
}

TEST(the_emulated_fma_is_the_processors) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    const std::vector<T> values = all_kinds_of_numbers<T>();
    std::vector<T> a, b, c, exact;
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (std::size_t j = 0; j < values.size(); j += 3) {
        for (std::size_t k = i % 5; k < values.size(); k += 5) {
          a.push_back(values[i]);
          b.push_back(values[j]);
          c.push_back(values[k]);
          exact.push_back(std::fma(values[i], values[j], values[k]));
        }
      }
    }
    std::vector<T> out(a.size());
    emulated_fma(a.data(), b.data(), c.data(), out.data(), a.size());
    CHECK(same_bits(out, exact));
  });
}

TEST(rows_beside_the_end_of_memory) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (std::size_t n = 0; n < 40; ++n) {
      const std::vector<T> z = numbers<T>(n);
      equal_everywhere([&] {
        std::vector<T> out(n), back(n);
        kernels<T>().relu(z.data(), out.data(), n);
        kernels<T>().relu_backward(z.data(), out.data(), back.data(), n);
        CHECK(kernels<T>().all_finite(z.data(), n));
        out.insert(out.end(), back.begin(), back.end());
        return out;
      });
      if (n == 0) continue;
      std::vector<T> bad = z;
      bad[n - 1] = std::numeric_limits<T>::infinity();
      CHECK(!kernels<T>().all_finite(bad.data(), n));
    }
  });
}

TEST(instruction_sets_are_chosen_by_name) {
  const std::string before = active_isa();
  CHECK(!available_isas().empty() && available_isas().back() == "baseline");
  for (const std::string& isa : available_isas()) {
    select_isa(isa);
    CHECK(active_isa() == isa);
  }
  for (const std::string& isa : {std::string("mmx"), std::string()}) {
    CHECK(throws<std::invalid_argument>([&] { select_isa(isa); }));
  }
  for (const std::string& isa : compiled_isas()) {
    const std::vector<std::string> here = available_isas();
    if (std::find(here.begin(), here.end(), isa) != here.end()) continue;
    CHECK(throws<std::invalid_argument>([&] { select_isa(isa); }));
  }
  select_isa(before);
}

TEST(the_tuning_follows_the_caches) {
  const auto chain = [](std::size_t l1) { return tuning_for({l1, 0}).chain_terms; };
  const auto gradient = [](std::size_t l2) { return tuning_for({0, l2}).gradient_bytes; };
  CHECK(chain(32 << 10) == 256 && chain(48 << 10) == 384);
  CHECK(chain(0) == 256 && chain(1 << 10) == 128 && chain(1 << 20) == 384);
  CHECK(gradient(512 << 10) == 128 << 10 && gradient(2 << 20) == 512 << 10);
  CHECK(gradient(0) == 256 << 10 && gradient(1) == 64 << 10 && gradient(1 << 30) == 1 << 20);
}

TEST(a_tuning_is_taken_whole_or_not_at_all) {
  const std::string usual = tuning_text();
  set_tuning("prefetch=off,chain=100,gradient=1M");
  CHECK(tuning_text() == "chain=100,gradient=1024K,prefetch=off");
  for (const char* bad :
       {"chain", "chain=31", "chain=385", "gradient=1K", "prefetch=yes", "chain=9X", "tile=3",
        "prefetch=on,", ",", "chain=99999999999999999999"}) {
    CHECK(throws<std::invalid_argument>([&] { set_tuning(bad); }));
  }
  CHECK(tuning_text() == "chain=100,gradient=1024K,prefetch=off");
  set_tuning("");
  CHECK(tuning_text() == usual);
}

TEST(threads_meet_at_barriers) {
  for (const unsigned threads : {1u, 2u, 3u, 8u, 2u}) {
    std::atomic<int> arrived{0};
    std::atomic<bool> right{true};
    std::atomic<unsigned> ran{0};
    run_parallel(threads, [&](Team& team, unsigned t) {
      ran += t < team.size() ? 1 : 100;
      for (int round = 1; round <= 50; ++round) {
        ++arrived;
        team.wait(t);
        if (arrived < round * static_cast<int>(team.size())) right = false;
        team.wait(t);
      }
    });
    CHECK(right && ran == threads);
  }
}

// Goes on until `seconds` are over, with steps that take each(threads), and returns the seconds
// spent on `wanted` threads.
template <class F>
double spent_on(ThreadChoice& choice, double work, double seconds, unsigned wanted, F each) {
  double on_wanted = 0;
  while (seconds > 0) {
    const unsigned threads = choice.begin_stretch(2, work);
    const std::uint64_t steps = choice.stretch_steps();
    const double took = each(threads) * static_cast<double>(steps);
    choice.end_stretch(took, steps);
    seconds -= took;
    if (threads == wanted) on_wanted += took;
  }
  return on_wanted;
}

TEST(the_number_of_threads_is_the_faster_one) {
  const auto two_are_faster = [](unsigned threads) { return threads == 2 ? 11e-6 : 17e-6; };
  const auto one_is_faster = [](unsigned threads) { return threads == 2 ? 30e-6 : 17e-6; };
  const double work = 909'312;
  ThreadChoice choice;
  CHECK(spent_on(choice, work, 20e-3, 2, two_are_faster) > 15e-3);
  // Another library's threads spin, then sleep.
  CHECK(spent_on(choice, work, 50e-3, 1, one_is_faster) > 30e-3);
  CHECK(spent_on(choice, work, 100e-3, 2, two_are_faster) > 60e-3);
  CHECK(spent_on(choice, work, 10, 2, two_are_faster) > 9.9);
  // The next loop over such steps begins with what the last one has found.
  CHECK(spent_on(choice, work, 5, 1, one_is_faster) > 4.8);
  ThreadChoice next;
  CHECK(spent_on(next, 1.01 * work, 2e-3, 1, one_is_faster) > 1.9e-3);
}

// Seconds a step over `total` seconds, where another process has the second core every other `turn`
// seconds: one thread's steps take 16 us, two threads' 11, but two wait while it has its turn.
double beside_a_busy_process(double work, double turn, double total) {
  ThreadChoice choice;
  double now = 0, steps = 0;
  while (now < total) {
    const unsigned threads = choice.begin_stretch(2, work);
    const std::uint64_t count = choice.stretch_steps();
    const double began = now;
    for (std::uint64_t k = 0; k < count; ++k) {
      const double place = std::fmod(now, 2 * turn);
      if (threads == 2 && place >= turn) now += 2 * turn - place;
      now += threads == 2 ? 11e-6 : 16e-6;
    }
    steps += static_cast<double>(count);
    choice.end_stretch(now - began, count);
  }
  return now / steps;
}

TEST(two_threads_that_another_process_interrupts_are_given_up) {
  double work = 1'500'000;  // other work than that of other tests, whose findings are kept
  for (const double turn : {1e-3, 3e-3, 4e-3, 8e-3}) {
    work *= 2;
    CHECK(beside_a_busy_process(work, turn, 0.1) < 1.2 * 16e-6);
    CHECK(beside_a_busy_process(work, turn, 0.4) < 1.1 * 16e-6);
  }
}

TEST(threads_of_several_callers) {
  std::atomic<int> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        run_parallel(2, [&](Team& team, unsigned t) {
          team.wait(t);
          if (t == 0) ++sum;
        });
      }
    });
  }
  for (std::thread& each : callers) each.join();
  CHECK(sum == 800);
  const unsigned before = num_threads();
  set_num_threads(3);
  CHECK(num_threads() == 3 && set_thread_limit(2) == 0 && num_threads() == 2);
  CHECK(set_thread_limit(0) == 2 && num_threads() == 3);
  for (const unsigned wrong : {0u, kMaxThreads + 1}) {
    CHECK(throws<std::invalid_argument>([&] { set_num_threads(wrong); }));
  }
  // A limit that is taken back with the number that was reported leaves what was said.
  CHECK(reported_threads() == 3);
  limit_threads(1);
  limit_threads(2);
  CHECK(num_threads() == 2 && reported_threads() == 2);
  limit_threads(3);
  CHECK(num_threads() == 3);
  limit_threads(3);
  limit_threads(1);
  set_num_threads(4);  // somebody says a number inside of a limit: it stays
  CHECK(num_threads() == 4);
  set_num_threads(before);
}

#if defined(__unix__)
TEST(threads_after_a_fork) {
  run_parallel(2, [](Team& team, unsigned t) { team.wait(t); });
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<unsigned> ran{0};
    run_parallel(2, [&](Team& team, unsigned t) {
      team.wait(t);
      ++ran;
    });
    _exit(ran == 2 ? 0 : 1);
  }
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(the_number_of_threads_from_the_environment) {
  const char* const before = std::getenv("FASTRELU_NUM_THREADS");
  const std::string kept = before != nullptr ? before : "";
  setenv("FASTRELU_NUM_THREADS", "3", 1);
  CHECK(told_threads() == 3);
  for (const char* wrong : {"0", "-1", "two", "3.5", "99999999999999999999"}) {
    setenv("FASTRELU_NUM_THREADS", wrong, 1);
    CHECK(throws<std::invalid_argument>([] { told_threads(); }));
  }
  if (before != nullptr) {
    setenv("FASTRELU_NUM_THREADS", kept.c_str(), 1);
  } else {
    unsetenv("FASTRELU_NUM_THREADS");
  }
}
#endif

TEST(columns_become_rows) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    for (const std::size_t n : Sizes{0, 1, 100}) {
      std::vector<double> reals = numbers<double>(n);
      std::vector<std::int8_t> bytes(n);
      for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::int8_t>(i % 200);
      if (n > 0) reals[n / 2] = std::numeric_limits<double>::quiet_NaN();
      const std::vector<NumberColumn> columns{
          {reals.data(), 8, Number::f64}, {bytes.data(), 1, Number::i8}, {nullptr, 0, Number::f64}};
      const std::vector<double> fill{0.25, 0, 3}, mean{0.5, 10, 1}, divisor{2, 4, 8};
      const std::vector<Index> indicators{3, -1, -1};
      equal_everywhere([&] {
        std::vector<T> out(n * 4);
        const Standardize<T> arguments{
            columns.data(),    3,          nullptr, n, fill.data(), mean.data(), divisor.data(),
            indicators.data(), out.data(), 4};
        const Standardized done = standardize(arguments);
        CHECK(done.finite && done.missing[0] == (n > 0 ? 1 : 0) && done.missing[1] == 0);
        CHECK(done.missing[2] == static_cast<Index>(n));
        for (std::size_t r = 0; r < n; ++r) {
          CHECK(out[4 * r + 1] == static_cast<T>((bytes[r] - 10.0) / 4));
          CHECK(out[4 * r + 2] == static_cast<T>(0.25));
          CHECK(out[4 * r + 3] == static_cast<T>(r == n / 2));
        }
        return out;
      });
    }
  });
}

}  // namespace fastrelu::tests
