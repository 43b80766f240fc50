/* SPDX-License-Identifier: BSD-3-Clause */
/* fastrelu's compiled functions for other extension modules, in C, C++ or Cython (core.pxd): on raw
 * pointers, without the GIL.
 *
 *   if (fastrelu_import() < 0) return NULL;                 // once in a module, with the GIL
 *   fastrelu_network_f32 *net = fastrelu->network_f32(object);  // of a fastrelu.Network, with the
 * GIL fastrelu->forward_f32(net, x, rows, out);               // without it, from any thread
 *
 * Matrices are row-major and contiguous, a row an example; `rows` is 0 or more. A network is the
 * Python object's own: it lives as long as that, and sees its parameters as they are. Arrays are
 * looked at or written only until the call returns and must not overlap. Any number of threads may
 * call the functions that take a const network; nobody else may use it while sgd_step runs. Nothing
 * is checked: sizes and pointers have to be right. A call uses the threads that
 * fastrelu.set_num_threads allows; one that is made while another is at work runs on its own thread
 * alone. Results have the bits of the Python calls. Functions that return int return 0, or -1 where
 * there is no memory. */
#ifndef FASTRELU_CORE_H
#define FASTRELU_CORE_H

#include <Python.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTRELU_CORE_VERSION 1

typedef struct fastrelu_network_f32 fastrelu_network_f32;
typedef struct fastrelu_network_f64 fastrelu_network_f64;
typedef struct fastrelu_cache_f32 fastrelu_cache_f32;
typedef struct fastrelu_cache_f64 fastrelu_cache_f64;

/* network: of a fastrelu.Network of this dtype; NULL with a TypeError for another object.
 * parameters: W_0 (inputs, width), b_0, W_1, ...: parameter_count values.
 * forward_cached: the outputs, and what backward needs; NULL where there is no memory. free_cache
 *   gives it up, and takes NULL.
 * backward: from the gradient d_out (rows, outputs) to that of the parameters, laid out as they
 * are, and to that of the inputs (rows, inputs); either may be NULL. The parameters must be those
 * of forward_cached still. sgd_step: parameters = fma(-learning_rate, gradient, parameters), each.
 */
#define FASTRELU_FUNCTIONS(S, T)                                                       \
  fastrelu_network_##S* (*network_##S)(PyObject * object);                             \
  ptrdiff_t (*inputs_##S)(const fastrelu_network_##S*);                                \
  ptrdiff_t (*outputs_##S)(const fastrelu_network_##S*);                               \
  ptrdiff_t (*parameter_count_##S)(const fastrelu_network_##S*);                       \
  T* (*parameters_##S)(fastrelu_network_##S*);                                         \
  int (*forward_##S)(const fastrelu_network_##S*, const T* x, ptrdiff_t rows, T* out); \
  fastrelu_cache_##S* (*forward_cached_##S)(const fastrelu_network_##S*, const T* x,   \
                                            ptrdiff_t rows, T* out);                   \
  void (*free_cache_##S)(fastrelu_cache_##S*);                                         \
  int (*backward_##S)(const fastrelu_network_##S*, const T* x, ptrdiff_t rows,         \
                      const fastrelu_cache_##S*, const T* d_out, T* gradient, T* dx);  \
  void (*sgd_step_##S)(fastrelu_network_##S*, const T* gradient, double learning_rate);

typedef struct fastrelu_functions {
  int version;
  FASTRELU_FUNCTIONS(f32, float)
  FASTRELU_FUNCTIONS(f64, double)
} fastrelu_functions;

#ifndef FASTRELU_CORE_IMPLEMENTATION
/* The functions, once fastrelu_import has returned 0. */
static const fastrelu_functions* fastrelu = NULL;

/* Imports fastrelu: 0, or -1 with an exception. */
static inline int fastrelu_import(void) {
  if (fastrelu != NULL) return 0;
  const fastrelu_functions* found =
      (const fastrelu_functions*)PyCapsule_Import("fastrelu._core._compiled_api", 0);
  if (found == NULL) return -1;
  if (found->version != FASTRELU_CORE_VERSION) {
    PyErr_Format(PyExc_ImportError,
                 "fastrelu: this module was compiled against version %d of core.h, the package has "
                 "version %d; compile it again",
                 FASTRELU_CORE_VERSION, found->version);
    return -1;
  }
  fastrelu = found;
  return 0;
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* FASTRELU_CORE_H */
