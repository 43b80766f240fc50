// SPDX-License-Identifier: BSD-3-Clause
// The multiply-add probes for one element type; roof.c includes this with T and NAME defined.

typedef T NAME(Vector) __attribute__((vector_size(VECTOR_BYTES)));
enum { NAME(kLanes) = VECTOR_BYTES / sizeof(T) };

// TILE_ROWS x 2 vectors of accumulators over kDepth terms. Fully unrolled, or the compiler would
// keep the accumulators in memory.
__attribute__((noinline)) static void NAME(tile)(const T* restrict a,
                                                 const NAME(Vector) * restrict b,
                                                 NAME(Vector) * restrict out) {
  NAME(Vector) acc[TILE_ROWS][2];
#pragma GCC unroll 16
  for (int r = 0; r < TILE_ROWS; ++r) {
    acc[r][0] = out[2 * r];
    acc[r][1] = out[2 * r + 1];
  }
  for (size_t k = 0; k < kDepth; ++k) {
    const NAME(Vector) b0 = b[2 * k], b1 = b[2 * k + 1];
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; ++r) {
      acc[r][0] += a[k * TILE_ROWS + (size_t)r] * b0;
      acc[r][1] += a[k * TILE_ROWS + (size_t)r] * b1;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < TILE_ROWS; ++r) {
    out[2 * r] = acc[r][0];
    out[2 * r + 1] = acc[r][1];
  }
}

static double NAME(tile_loop)(double seconds) {
  const size_t a_size = kDepth * TILE_ROWS;
  T* a = aligned_alloc(64, (a_size * sizeof(T) + 63) / 64 * 64);
  NAME(Vector)* b = aligned_alloc(64, kDepth * 2 * sizeof(*b));
  NAME(Vector)* out = aligned_alloc(64, (TILE_ROWS * 2 * sizeof(*out) + 63) / 64 * 64);
  // Normal numbers whose products nearly cancel: the sums stay far from infinity for minutes.
  for (size_t i = 0; i < a_size; ++i) a[i] = (T)(i % 2 ? 0.25 : -0.25) * (T)(1 + (i / 2) % 3);
  for (size_t i = 0; i < kDepth * 2; ++i) {
    for (size_t l = 0; l < NAME(kLanes); ++l) b[i][l] = (T)((i / 2) % 2 ? 0.5 : -0.5);
  }
  memset(out, 0, TILE_ROWS * 2 * sizeof(*out));
  double done = 0, spent;
  const double began = now();
  do {
    for (int i = 0; i < 200; ++i) NAME(tile)(a, b, out);
    done += 200.0 * kDepth * TILE_ROWS * 2 * NAME(kLanes) * 2;
    spent = now() - began;
  } while (spent < seconds);
  free(a), free(b), free(out);
  return done / spent;
}

// Chains that never leave the registers: what the multiply-add units do when nothing feeds them.
static double NAME(register_loop)(double seconds) {
  NAME(Vector) acc[kChains], x, y;
  for (size_t l = 0; l < NAME(kLanes); ++l) x[l] = (T)0.75, y[l] = (T)0.5;
  for (int c = 0; c < kChains; ++c) acc[c] = x * (T)c;
  double done = 0, spent;
  const double began = now();
  do {
    for (int i = 0; i < 20000; ++i) {
      // The compiler may not know the factors, or it would merge the chains.
      __asm__ volatile("" : IN_REGISTER(x), IN_REGISTER(y));
#pragma GCC unroll 16
      for (int c = 0; c < kChains; ++c) acc[c] = acc[c] * x + y;
    }
    done += 20000.0 * kChains * NAME(kLanes) * 2;
    spent = now() - began;
  } while (spent < seconds);
  volatile T sink = 0;
  for (int c = 0; c < kChains; ++c) sink = sink + acc[c][0];
  return done / spent;
}
