// SPDX-License-Identifier: BSD-3-Clause
// The one kernel source, compiled once per instruction set with -DFASTRELU_ISA=<name>; it exports
// one constant table a dtype and nothing else. No object here has a constructor: it would run when
// the library is loaded, before anything has asked whether this processor knows the instructions.
#include "kernels.h"

#include "dense-inl.h"
#include "dropout-inl.h"
#include "encoded-inl.h"
#include "exact_fma.h"
#include "few_rows-inl.h"
#include "lanes-inl.h"
#include "loss-inl.h"
#include "math-inl.h"
#include "random-inl.h"
#include "relaxation-inl.h"
#include "rows-inl.h"
#include "sparse-inl.h"
#include "update-inl.h"

namespace fastrelu {
namespace FASTRELU_ISA {
namespace {

template <class T>
void exp_array(const T* x, T* out, std::size_t n) {
  map(x, out, n, [](typename Simd<T>::V v) { return vexp<T>(v); });
}
template <class T>
void log_array(const T* x, T* out, std::size_t n) {
  map(x, out, n, [](typename Simd<T>::V v) { return vlog<T>(v); });
}
template <class T>
void log1p_array(const T* x, T* out, std::size_t n) {
  map(x, out, n, [](typename Simd<T>::V v) { return vlog1p<T>(v); });
}
template <class T>
void tanh_array(const T* x, T* out, std::size_t n) {
  map(x, out, n, [](typename Simd<T>::V v) { return vtanh<T>(v); });
}

template <class T>
constexpr KernelTable<T> kTable = {
    relu<T>,
    relu_backward<T>,
    all_finite<T>,
    largest_magnitude<T>,
    load_rows<T>,
    store_rows<T>,
    transpose_panels<T>,
    dense_forward<T>,
    dense_backward_data<T>,
    dense_backward_weights<T>,
    loss<T>,
    predict<T>,
    sparse_forward<T>,
    sparse_backward_weights<T>,
    sparse_backward_bias<T>,
    encoded_forward<T>,
    encoded_backward_weights<T>,
    few_rows_forward<T>,
    few_rows_step<T>,
    few_rows_transpose<T>,
    Simd<T>::kLanes,
    lanes_step<T>,
    lanes_squares<T>,
    update<T>,
    add<T>,
    multiply<T>,
    add_column_squares<T>,
    exp_array<T>,
    log_array<T>,
    log1p_array<T>,
    tanh_array<T>,
    philox_blocks,
    drop_units<T>,
    activate<T>,
    activation_backward<T>,
    carry_back<T>,
};

}  // namespace

extern const KernelTable<float> table_float32;
extern const KernelTable<double> table_float64;
const KernelTable<float> table_float32 = kTable<float>;
const KernelTable<double> table_float64 = kTable<double>;

}  // namespace FASTRELU_ISA
}  // namespace fastrelu
