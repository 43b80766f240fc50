# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False
"""Networks called from Cython without the GIL: in a loop of threads, and in a step of SGD."""

import numpy as np

from cython.parallel cimport prange
from libc.stdlib cimport free, malloc

from fastrelu cimport core

core.import_core()


def outputs_row_by_row(network, const float[:, ::1] x):
    """Return network(x), each row by a call of its own, the rows shared by OpenMP's threads."""
    cdef core.network_f32* net = core.network_of_f32(network)
    cdef ptrdiff_t k = core.outputs_f32(net), r
    if x.shape[1] != core.inputs_f32(net):
        raise ValueError(f"x: expected {core.inputs_f32(net)} columns, got {x.shape[1]}")
    out = np.empty((x.shape[0], k), np.float32)
    cdef float[:, ::1] y = out
    cdef int failed = 0
    for r in prange(x.shape[0], nogil=True):
        failed |= core.forward_f32(net, &x[r, 0], 1, &y[r, 0])
    if failed:
        raise MemoryError
    return out


def squared_error_step(network, const float[:, ::1] x, const float[:, ::1] y, double rate):
    """Take one step of SGD on the mean of |f(x) - y|^2 / 2 over the rows; return that mean."""
    cdef core.network_f32* net = core.network_of_f32(network)
    cdef ptrdiff_t n = x.shape[0], k = core.outputs_f32(net), i
    cdef size_t count = <size_t> core.parameter_count_f32(net)
    cdef float* out = <float*> malloc(<size_t> (n * k) * sizeof(float))
    cdef float* gradient = <float*> malloc(count * sizeof(float))
    cdef core.cache_f32* cache = NULL
    cdef double loss = 0
    try:
        with nogil:
            if out != NULL and gradient != NULL:
                cache = core.forward_cached_f32(net, &x[0, 0], n, out)
            if cache != NULL:
                for i in range(n * k):
                    out[i] = out[i] - (&y[0, 0])[i]
                    loss += 0.5 * <double> out[i] * out[i]
                    out[i] = out[i] / n
                core.backward_f32(net, &x[0, 0], n, cache, out, gradient, NULL)
                core.sgd_step_f32(net, gradient, rate)
        if cache == NULL:
            raise MemoryError
        return loss / n
    finally:
        core.free_cache_f32(cache)
        free(out)
        free(gradient)
