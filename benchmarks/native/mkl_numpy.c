// SPDX-License-Identifier: BSD-3-Clause
// NumPy's wheels call OpenBLAS by names of their own (scipy_cblas_..64_). Preloaded before it, this
// library has these names first and leads them to MKL, preloaded beside it. Only the products that
// a network needs: others stay OpenBLAS's.
#include <stdint.h>

#define GEMM(T, t)                                                                             \
  void cblas_##t##gemm_64(int, int, int, int64_t, int64_t, int64_t, T, const T*, int64_t,      \
                          const T*, int64_t, T, T*, int64_t);                                  \
  void scipy_cblas_##t##gemm64_(int order, int trans_a, int trans_b, int64_t m, int64_t n,     \
                                int64_t k, T alpha, const T* a, int64_t lda, const T* b,       \
                                int64_t ldb, T beta, T* c, int64_t ldc) {                      \
    cblas_##t##gemm_64(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); \
  }
#define GEMV(T, t)                                                                                \
  void cblas_##t##gemv_64(int, int, int64_t, int64_t, T, const T*, int64_t, const T*, int64_t, T, \
                          T*, int64_t);                                                           \
  void scipy_cblas_##t##gemv64_(int order, int trans, int64_t m, int64_t n, T alpha, const T* a,  \
                                int64_t lda, const T* x, int64_t incx, T beta, T* y,              \
                                int64_t incy) {                                                   \
    cblas_##t##gemv_64(order, trans, m, n, alpha, a, lda, x, incx, beta, y, incy);                \
  }
#define DOT(T, t)                                                                            \
  T cblas_##t##dot_64(int64_t, const T*, int64_t, const T*, int64_t);                        \
  T scipy_cblas_##t##dot64_(int64_t n, const T* x, int64_t incx, const T* y, int64_t incy) { \
    return cblas_##t##dot_64(n, x, incx, y, incy);                                           \
  }

GEMM(float, s)
GEMM(double, d)
GEMV(float, s)
GEMV(double, d)
DOT(float, s)
DOT(double, d)
