# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3
"""fastrelu's compiled functions for Cython, without the GIL: include/fastrelu/core.h says what each
does. The module that uses them is compiled with fastrelu.get_include() among its include folders,
and calls import_core() once before anything else.
"""

cdef extern from "fastrelu/core.h" nogil:
    ctypedef struct network_f32 "fastrelu_network_f32":
        pass
    ctypedef struct network_f64 "fastrelu_network_f64":
        pass
    ctypedef struct cache_f32 "fastrelu_cache_f32":
        pass
    ctypedef struct cache_f64 "fastrelu_cache_f64":
        pass

    int import_core "fastrelu_import"() except -1 with gil

    network_f32* network_of_f32 "fastrelu->network_f32"(object network) except NULL with gil
    ptrdiff_t inputs_f32 "fastrelu->inputs_f32"(const network_f32*) noexcept
    ptrdiff_t outputs_f32 "fastrelu->outputs_f32"(const network_f32*) noexcept
    ptrdiff_t parameter_count_f32 "fastrelu->parameter_count_f32"(const network_f32*) noexcept
    float* parameters_f32 "fastrelu->parameters_f32"(network_f32*) noexcept
    int forward_f32 "fastrelu->forward_f32"(
        const network_f32*, const float* x, ptrdiff_t rows, float* out) noexcept
    cache_f32* forward_cached_f32 "fastrelu->forward_cached_f32"(
        const network_f32*, const float* x, ptrdiff_t rows, float* out) noexcept
    void free_cache_f32 "fastrelu->free_cache_f32"(cache_f32*) noexcept
    int backward_f32 "fastrelu->backward_f32"(
        const network_f32*, const float* x, ptrdiff_t rows, const cache_f32*, const float* d_out,
        float* gradient, float* dx) noexcept
    void sgd_step_f32 "fastrelu->sgd_step_f32"(
        network_f32*, const float* gradient, double learning_rate) noexcept

    network_f64* network_of_f64 "fastrelu->network_f64"(object network) except NULL with gil
    ptrdiff_t inputs_f64 "fastrelu->inputs_f64"(const network_f64*) noexcept
    ptrdiff_t outputs_f64 "fastrelu->outputs_f64"(const network_f64*) noexcept
    ptrdiff_t parameter_count_f64 "fastrelu->parameter_count_f64"(const network_f64*) noexcept
    double* parameters_f64 "fastrelu->parameters_f64"(network_f64*) noexcept
    int forward_f64 "fastrelu->forward_f64"(
        const network_f64*, const double* x, ptrdiff_t rows, double* out) noexcept
    cache_f64* forward_cached_f64 "fastrelu->forward_cached_f64"(
        const network_f64*, const double* x, ptrdiff_t rows, double* out) noexcept
    void free_cache_f64 "fastrelu->free_cache_f64"(cache_f64*) noexcept
    int backward_f64 "fastrelu->backward_f64"(
        const network_f64*, const double* x, ptrdiff_t rows, const cache_f64*, const double* d_out,
        double* gradient, double* dx) noexcept
    void sgd_step_f64 "fastrelu->sgd_step_f64"(
        network_f64*, const double* gradient, double learning_rate) noexcept
