// SPDX-License-Identifier: BSD-3-Clause
#include "standardize.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "fp_environment.h"
#include "range.h"
#include "thread_pool.h"

namespace fastrelu {
namespace {

// Rows of a tile: its output should stay in the first-level cache.
constexpr std::size_t kTileBytes = 24 << 10, kMostRows = 256;
// Numbers that are worth another thread.
constexpr std::size_t kNumbersEach = std::size_t{1} << 15;

template <class From>
void load(const NumberColumn& column, const Index* rows, std::size_t first, std::size_t n,
          double* to) {
  const auto* const data = static_cast<const char*>(column.data);
  const auto at = [&](Index row) {
    From value;  // by bytes: a file's columns need not be aligned
    std::memcpy(&value, data + row * column.stride, sizeof value);
    return static_cast<double>(value);
  };
  if (rows != nullptr) {
    for (std::size_t i = 0; i < n; ++i) to[i] = at(rows[first + i]);
  } else {
    for (std::size_t i = 0; i < n; ++i) to[i] = at(static_cast<Index>(first + i));
  }
}

// Asks for the cache lines of the rows of the next tile: a column's run in a tile is too short for
// the processor to see it coming.
void prefetch(const NumberColumn& c, const Index* rows, std::size_t first, std::size_t n) {
  if (c.data == nullptr || n == 0) return;
  const auto row = [&](std::size_t i) { return rows != nullptr ? rows[i] : static_cast<Index>(i); };
  const auto* const data = static_cast<const char*>(c.data);
  const char* const end = data + row(first + n - 1) * c.stride;
  if (c.stride > 0 && c.stride <= 8) {
    for (const char* at = data + row(first) * c.stride; at <= end; at += 64) __builtin_prefetch(at);
  }
}

void load(const NumberColumn& c, const Index* rows, std::size_t first, std::size_t n, double* to) {
  if (c.data == nullptr) {
    std::fill_n(to, n, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  switch (c.type) {
    case Number::f32: return load<float>(c, rows, first, n, to);
    case Number::f64: return load<double>(c, rows, first, n, to);
    case Number::i8: return load<std::int8_t>(c, rows, first, n, to);
    case Number::u8: return load<std::uint8_t>(c, rows, first, n, to);
    case Number::i16: return load<std::int16_t>(c, rows, first, n, to);
    case Number::u16: return load<std::uint16_t>(c, rows, first, n, to);
    case Number::i32: return load<std::int32_t>(c, rows, first, n, to);
    case Number::u32: return load<std::uint32_t>(c, rows, first, n, to);
    case Number::i64: return load<std::int64_t>(c, rows, first, n, to);
    case Number::u64: return load<std::uint64_t>(c, rows, first, n, to);
  }
}

// One column of a tile; returns whether its outputs are finite.
template <class T>
bool column_of_tile(const Standardize<T>& s, std::size_t j, std::size_t first, std::size_t n,
                    Index* missing) {
  double x[kMostRows];
  T made[kMostRows];
  load(s.columns[j], s.rows, first, n, x);
  const double fill = s.fill[j], mean = s.mean[j], divisor = s.divisor[j];
  Index gaps = 0;
  for (std::size_t i = 0; i < n; ++i) gaps += x[i] != x[i] ? 1 : 0;
  missing[j] += gaps;
  T* const out = s.out + static_cast<std::ptrdiff_t>(first) * s.stride;
  if (const Index to = s.indicators[j]; to >= 0) {
    for (std::size_t i = 0; i < n; ++i) {
      out[static_cast<std::ptrdiff_t>(i) * s.stride + to] = x[i] != x[i] ? T(1) : T(0);
    }
  }
  if (gaps != 0) {
    for (std::size_t i = 0; i < n; ++i) x[i] = x[i] != x[i] ? fill : x[i];
  }
  int others = 0;  // infinities, and NaN that they lead to
  for (std::size_t i = 0; i < n; ++i) {
    made[i] = static_cast<T>((x[i] - mean) / divisor);
    others |= made[i] - made[i] == 0 ? 0 : 1;
  }
  for (std::size_t i = 0; i < n; ++i) {
    out[static_cast<std::ptrdiff_t>(i) * s.stride + static_cast<std::ptrdiff_t>(j)] = made[i];
  }
  return others == 0;
}

}  // namespace

template <class T>
Standardized standardize(const Standardize<T>& s) {
  const FpEnvironment environment;
  Standardized result;
  result.missing.assign(s.n_columns, 0);
  if (s.n_columns == 0) return result;
  const std::size_t tile =
      std::clamp(kTileBytes / (s.n_columns * sizeof(T)), std::size_t{8}, kMostRows);
  const auto most = static_cast<unsigned>(std::min<std::size_t>(
      num_threads(), std::max<std::size_t>(1, s.n_rows * s.n_columns / kNumbersEach)));
  std::vector<Index> missing(most * s.n_columns, 0);
  std::vector<char> finite(most, 1);
  run_parallel(most, [&](Team& team, unsigned t) {
    const FpEnvironment of_thread;
    const Range mine = share(s.n_rows, team.size(), t);
    for (std::size_t first = mine.begin; first < mine.end; first += tile) {
      const std::size_t n = std::min(tile, mine.end - first);
      const std::size_t then = std::min(tile, mine.end - first - n);
      for (std::size_t j = 0; j < s.n_columns; ++j) {
        prefetch(s.columns[j], s.rows, first + n, then);
        if (!column_of_tile(s, j, first, n, missing.data() + t * s.n_columns)) finite[t] = 0;
      }
    }
  });
  for (std::size_t i = 0; i < missing.size(); ++i) result.missing[i % s.n_columns] += missing[i];
  for (const char each : finite) result.finite = result.finite && each != 0;
  return result;
}

template Standardized standardize(const Standardize<float>&);
template Standardized standardize(const Standardize<double>&);

}  // namespace fastrelu
