# SPDX-License-Identifier: BSD-3-Clause
"""The functions for other extension modules: a Cython module compiled against the package."""

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

import fastrelu

EXAMPLE = Path(__file__).parents[1] / "examples" / "cython" / "rows_in_parallel.pyx"
pytest.importorskip("Cython")
pytest.importorskip("setuptools")
if not EXAMPLE.exists():
    pytest.skip("needs the examples", allow_module_level=True)
SETUP = """
import sys
from setuptools import Extension, setup
from Cython.Build import cythonize

openmp = ["-fopenmp"]
setup(
    name="rows_in_parallel",
    ext_modules=cythonize(
        [Extension("rows_in_parallel", ["rows_in_parallel.pyx"], include_dirs=[sys.argv.pop()],
                   extra_compile_args=openmp, extra_link_args=openmp)],
    ),
)
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cython")
    (folder / EXAMPLE.name).write_text(EXAMPLE.read_text())
    (folder / "setup.py").write_text(SETUP)
    package = str(Path(fastrelu.__file__).parents[1])
    found = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace", fastrelu.get_include()],
        cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": package},
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    (library,) = folder.glob("rows_in_parallel*.so")
    spec = importlib.util.spec_from_file_location("rows_in_parallel", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rows", [0, 1, 7, 500])
def test_rows_in_a_loop_of_threads_have_the_bits_of_the_network(compiled, rows):
    net = fastrelu.Network([5, 33, 7, 3], seed=4)
    x = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    assert same_bits(compiled.outputs_row_by_row(net, x), net(x))


def test_a_step_of_its_own_has_the_bits_of_the_gradient(compiled):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    y = rng.normal(size=(64, 2)).astype(np.float32)
    net, twin = (fastrelu.Network([5, 20, 2], seed=6) for _ in range(2))
    losses = [compiled.squared_error_step(net, x, y, 0.05) for _ in range(30)]
    for _ in range(30):
        out, cache = twin.forward_cached(x)
        flat = twin.backward(cache, (out - y) / np.float32(64)).flat
        exact = twin.parameters.astype(np.float64) - np.float64(np.float32(0.05)) * flat
        twin.parameters[...] = exact.astype(np.float32)  # fma: one rounding of the exact value
    assert same_bits(net.parameters, twin.parameters)
    assert losses[-1] < losses[0]


def test_a_step_makes_older_caches_stale(compiled):
    net = fastrelu.Network([5, 4, 2])
    x, y = np.ones((3, 5), np.float32), np.ones((3, 2), np.float32)
    out, cache = net.forward_cached(x)
    compiled.squared_error_step(net, x, y, 0.1)
    with pytest.raises(ValueError, match="since forward_cached"):
        net.backward(cache, out)


@pytest.mark.parametrize(
    "wrong", [None, 3, "net", fastrelu.Network([5, 2], dtype="float64"), fastrelu.Network.__new__]
)
def test_another_object_is_a_type_error(compiled, wrong):
    with pytest.raises(TypeError, match=r"expected a fastrelu\.Network of float32"):
        compiled.outputs_row_by_row(wrong, np.ones((1, 5), np.float32))


def test_a_network_before_its_init_is_a_type_error(compiled):
    empty = fastrelu.Network.__new__(fastrelu.Network)
    with pytest.raises(TypeError, match=r"expected a fastrelu\.Network"):
        compiled.outputs_row_by_row(empty, np.ones((1, 5), np.float32))


def test_many_python_threads_call_it_at_once(compiled):
    net = fastrelu.Network([5, 64, 3], seed=1)
    x = np.random.default_rng(2).normal(size=(300, 5)).astype(np.float32)
    expected, wrong = net(x), []

    def call():
        for _ in range(5):
            if not same_bits(compiled.outputs_row_by_row(net, x), expected):
                wrong.append(1)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
