# SPDX-License-Identifier: BSD-3-Clause
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The step as a competent user writes it in Cython: typed loops, the inner one contiguous."""

import numpy as np

ctypedef float real


cdef void dense_forward(real[:, ::1] x, real[:, ::1] W, real[::1] b, real[:, ::1] z,
                        bint relu) noexcept nogil:
    cdef Py_ssize_t n, i, o
    cdef real value
    for n in range(x.shape[0]):
        for o in range(W.shape[1]):
            z[n, o] = b[o]
        for i in range(W.shape[0]):
            value = x[n, i]
            for o in range(W.shape[1]):
                z[n, o] += value * W[i, o]
        if relu:
            for o in range(W.shape[1]):
                z[n, o] = z[n, o] if z[n, o] > 0 else 0


cdef void dense_backward_data(real[:, ::1] dz, real[:, ::1] W, real[:, ::1] a,
                              real[:, ::1] dx) noexcept nogil:
    cdef Py_ssize_t n, i, o
    cdef real total
    for n in range(dz.shape[0]):
        for i in range(W.shape[0]):
            total = 0
            if a[n, i] > 0:
                for o in range(W.shape[1]):
                    total += dz[n, o] * W[i, o]
            dx[n, i] = total


cdef void dense_backward_weights(real[:, ::1] x, real[:, ::1] dz, real[:, ::1] dW,
                                 real[::1] db) noexcept nogil:
    cdef Py_ssize_t n, i, o
    cdef real value
    dW[:, :] = 0
    db[:] = 0
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            value = x[n, i]
            if value != 0:
                for o in range(dz.shape[1]):
                    dW[i, o] += value * dz[n, o]
        for o in range(dz.shape[1]):
            db[o] += dz[n, o]


cdef void update(real[:, ::1] W, real[:, ::1] dW, real[::1] b, real[::1] db,
                 real rate) noexcept nogil:
    cdef Py_ssize_t i, o
    for i in range(W.shape[0]):
        for o in range(W.shape[1]):
            W[i, o] -= rate * dW[i, o]
    for o in range(W.shape[1]):
        b[o] -= rate * db[o]


cdef class Network:
    """Dense layers with ReLU between them; squared error, plain SGD, float32."""

    cdef list weights, biases, dW, db, outputs, deltas
    cdef real rate

    def __init__(self, weights, biases, Py_ssize_t rows, double rate):
        self.weights, self.biases = list(weights), list(biases)
        self.dW = [np.empty_like(w) for w in weights]
        self.db = [np.empty_like(b) for b in biases]
        self.outputs = [np.empty((rows, w.shape[1]), np.float32) for w in weights]
        self.deltas = [np.empty((rows, w.shape[1]), np.float32) for w in weights]
        self.rate = rate

    def get_weights(self):
        return self.weights

    def forward(self, real[:, ::1] X):
        cdef Py_ssize_t k, last = len(self.weights) - 1
        cdef real[:, ::1] x = X, W, z
        cdef real[::1] b
        for k in range(last + 1):
            W, b, z = self.weights[k], self.biases[k], self.outputs[k]
            with nogil:
                dense_forward(x, W, b, z, k < last)
            x = z
        return self.outputs[last]

    def backward(self, real[:, ::1] X, real[:, ::1] d_out):
        cdef Py_ssize_t k
        cdef real[:, ::1] x, W, dW, dx, dz = d_out
        cdef real[::1] db
        for k in range(len(self.weights) - 1, -1, -1):
            W, dW, db = self.weights[k], self.dW[k], self.db[k]
            x = self.outputs[k - 1] if k else X
            with nogil:
                dense_backward_weights(x, dz, dW, db)
            if k:
                dx = self.deltas[k - 1]
                with nogil:
                    dense_backward_data(dz, W, x, dx)
                dz = dx

    def step(self, real[:, ::1] X, real[:, ::1] y):
        cdef Py_ssize_t n, o, k
        cdef real[:, ::1] out, delta
        cdef real factor
        cdef double loss = 0
        self.forward(X)
        k = len(self.weights) - 1
        out, delta = self.outputs[k], self.deltas[k]
        factor = 1.0 / (out.shape[0] * out.shape[1])
        for n in range(out.shape[0]):
            for o in range(out.shape[1]):
                delta[n, o] = out[n, o] - y[n, o]
                loss += delta[n, o] * delta[n, o]
                delta[n, o] *= factor
        self.backward(X, delta)
        for k in range(len(self.weights)):
            update(self.weights[k], self.dW[k], self.biases[k], self.db[k], self.rate)
        return 0.5 * loss * factor
