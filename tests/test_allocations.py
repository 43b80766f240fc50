# SPDX-License-Identifier: BSD-3-Clause
"""No memory is taken after an epoch's first minibatch: an epoch of twice as many takes as often."""

import json
import os
import platform
import shutil
import subprocess
import sys

import pytest
from catalogue_tools import LOSS_NAMES

COUNTER = r"""
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

static atomic_int counting;
static atomic_long calls;

void counter_start(void) { calls = 0; counting = 1; }
long counter_stop(void) { counting = 0; return calls; }
static void count(void) { if (counting) ++calls; }

void* malloc(size_t n) { count(); return __libc_malloc(n); }
void* calloc(size_t n, size_t size) { count(); return __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { count(); return __libc_realloc(p, n); }
void* memalign(size_t a, size_t n) { count(); return __libc_memalign(a, n); }
void* aligned_alloc(size_t a, size_t n) { count(); return __libc_memalign(a, n); }
int posix_memalign(void** p, size_t a, size_t n) {
  count();
  *p = __libc_memalign(a, n);
  return *p != NULL ? 0 : ENOMEM;
}
"""

# Prints [case, calls in an epoch of 4 minibatches, calls in one of 8] for each case.
EPOCHS = r"""
import ctypes, itertools, json, warnings
import numpy as np
import fastrelu
from fastrelu._catalogue import LOSSES

counter = ctypes.CDLL(None)
counter.counter_stop.restype = ctypes.c_long
BATCH, OUTPUTS = 200, 4  # with 32-64-4 enough work for two threads
rng = np.random.default_rng(0)


def calls(loss, optimizer, dtype, threads, sampling, n_shards, minibatches):
    fastrelu.set_num_threads(threads)
    net = fastrelu.Network([32, 64, OUTPUTS], dtype=dtype)
    clip = 1.0 if n_shards > 1 else None
    trainer = fastrelu.Trainer(net, loss=loss, optimizer=optimizer, batch_size=BATCH,
                               n_shards=n_shards, clip_norm=clip)
    n = BATCH * minibatches
    X = rng.normal(size=(n, 32)).astype(dtype)
    y = np.ones((n, OUTPUTS), dtype)
    if LOSSES[loss].domain.labels:
        y = rng.integers(0, OUTPUTS, n)
    core = trainer._core
    data = core.data(X, y, np.ones(n) if n_shards > 1 else None, True)
    rates = np.full(minibatches, 1e-3)
    counter.counter_start()
    finished = core.run_epoch(data, sampling, rates, None)
    taken = counter.counter_stop()
    assert finished and trainer.n_steps == minibatches
    return taken


cases = [
    (*case, "shuffle", 1)
    for case in itertools.product(
        LOSSES, ("sgd", "adam"), ("float32", "float64"), (1, 2),
    )
]
cases += [("squared_error", "momentum", "float32", 2, s, 2)
          for s in ("shuffle", "subset", "with_replacement")]
optimizers = {"sgd": fastrelu.SGD(), "adam": fastrelu.Adam(), "momentum": fastrelu.SGD(0.1, 0.9)}
counter.counter_start()
kept = np.empty(1 << 20)
results = [["control", 0, counter.counter_stop()]]
for loss, optimizer, *rest in cases:
    run = [calls(loss, optimizers[optimizer], *rest, n) for n in (4, 4, 8)]
    results.append([[loss, optimizer, *rest], *run[1:]])  # the first run starts the threads
print(json.dumps(results))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="counts by taking the place of glibc's malloc",
)
def test_no_allocation_after_the_first_minibatch(tmp_path):
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler to build the counter of allocations with")
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", source, "-o", library], check=True)
    run = subprocess.run(
        [sys.executable, "-c", EPOCHS], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    control, *results = json.loads(run.stdout)
    assert control[2] > 0  # the counter counts
    assert len(results) == 8 * len(LOSS_NAMES) + 3
    more = [case for case in results if case[1] != case[2]]
    assert not more
