// SPDX-License-Identifier: BSD-3-Clause
// Memory of the core, and the user's arrays as it sees them.
//
// AlignedBuffer owns memory (64-byte aligned, zero at first); every other type here is a view that
// owns nothing, may look at what another looks at, and must not outlive it. Any thread may read a
// view; a buffer belongs to whoever holds it.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace fastrelu {

using Index = std::int64_t;

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

template <class T>
class AlignedBuffer {
 public:
  // Kernels may read, never write, this many bytes past the end.
  static constexpr std::size_t kSlackBytes = 256;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) { reset(size); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer() { std::free(taken_); }

  // Memory of this size and more is asked for in pages of it.
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  // New zeroed memory; what was there is lost. Throws std::bad_alloc.
  void reset(std::size_t size) {
    if (size > (SIZE_MAX - 2 * kSlackBytes) / sizeof(T)) throw std::bad_alloc();
    const std::size_t least = size * sizeof(T) + kSlackBytes;
    const std::size_t alignment = least < kHugePage ? 64 : kHugePage;
    const std::size_t bytes = round_up(least, alignment);
    // calloc leaves alone what the system hands out as zeros: hundreds of megabytes are there at
    // once, and their pages are made where they are first written, between two polls.
    void* const taken = std::calloc(bytes + alignment - 1, 1);
    if (taken == nullptr) throw std::bad_alloc();
    void* fresh = taken;
    std::size_t space = bytes + alignment - 1;
    std::align(alignment, bytes, fresh, space);
#if defined(__linux__)
    // Weights are read from all over: with small pages many reads need a page table look-up too.
    if (alignment == kHugePage) madvise(fresh, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    std::free(taken_);
    taken_ = taken;
    data_ = static_cast<T*>(fresh);
    size_ = size;
  }
  // At least `size` elements; contents are kept only when no growth was needed.
  void reserve(std::size_t size) {
    if (size > size_ || data_ == nullptr) reset(size);
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(taken_, other.taken_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  void* taken_ = nullptr;  // what was allocated; data_ is its first aligned byte
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

// A sparse matrix as compressed sparse rows: row r's stored entries are values[k] in columns[k] for
// k in [begin(r), begin(r + 1)), columns strictly ascending and inside the matrix.
struct CsrSource {
  const void* values = nullptr;  // T
  const std::int32_t* columns = nullptr;
  const void* pointers = nullptr;  // rows + 1 of them, int64 or int32
  bool wide_pointers = false;

  Index begin(Index row) const {
    return wide_pointers ? static_cast<const std::int64_t*>(pointers)[row]
                         : static_cast<const std::int32_t*>(pointers)[row];
  }
};

// Rows of a matrix by runs of inputs (docs/arithmetic.md, "Encoded rows"): run k is inputs
// starts[k] .. starts[k + 1] - 1, and in row r its input at position positions[r * runs + k] is
// values[r * runs + k]; those before it are 1 where ramps[k], else 0, those behind it are 0.
// Positions are inside their runs, which are not empty and cover all inputs.
struct EncodedSource {
  std::size_t runs = 0;
  const std::uint32_t* starts = nullptr;  // runs + 1 of them
  const std::uint8_t* ramps = nullptr;    // 0 or 1 each
  const std::uint16_t* positions = nullptr;
  const void* values = nullptr;  // T
};

// Rows of a matrix as the user holds it: `stride` bytes from row to row (may be negative), the
// values of a row side by side, either T or bytes; or, with `sparse`, those of a sparse matrix, or,
// with `encoded`, encoded rows, and `data` and `stride` mean nothing.
struct RowSource {
  const void* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::ptrdiff_t stride = 0;
  bool is_uint8 = false;
  const CsrSource* sparse = nullptr;
  const EncodedSource* encoded = nullptr;

  bool is_dense() const { return sparse == nullptr && encoded == nullptr; }
  // Bytes of a dense row, each of whose numbers has so many where they are not bytes.
  std::size_t row_bytes(std::size_t item) const { return cols * (is_uint8 ? 1 : item); }
};

// Rows that a minibatch or a pass takes from a matrix, in its order: index[r], or first + r where
// index is null.
struct RowPicker {
  const Index* index = nullptr;
  Index first = 0;
  Index operator()(std::size_t r) const {
    return index != nullptr ? index[r] : first + static_cast<Index>(r);
  }
  // The same from row r on.
  RowPicker from(std::size_t r) const {
    return {index != nullptr ? index + r : nullptr, first + static_cast<Index>(r)};
  }
};

// Stored entries of the rows of a sparse x.
inline Index stored_entries(const RowSource& x) {
  return x.sparse->begin(static_cast<Index>(x.rows));
}

}  // namespace fastrelu
