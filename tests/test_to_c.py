# SPDX-License-Identifier: BSD-3-Clause
"""C and C++ source of a network gives the bits of the network, by every compiler that is there."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from catalogue_tools import ACTIVATION_NAMES
from conftest import same_bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu.exchange import c_templates

STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic", "-ffp-contract=off"]
C_COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
CPP_COMPILERS = [c for c in ("g++", "clang++") if shutil.which(c)]
if not C_COMPILERS or not CPP_COMPILERS:
    pytest.skip("needs a compiler", allow_module_level=True)
CALLER = """
#include "net.h"
static_assert(noexcept(net::forward(nullptr, nullptr)), "");
extern "C" {{
void net_forward(const {T} *x, {T} *y) {{ net::forward(x, y); }}
void net_jacobian(const {T} *x, {T} *J) {{ net::jacobian(x, J); }}
}}
"""
# A program that reads rows of x and writes y and J of each.
MAIN = """
#include <stdio.h>
void net_forward(const {T} *x, {T} *y);
void net_jacobian(const {T} *x, {T} *J);
int main(void)
{{
  {T} x[{d}], y[{k}], J[{d} * {k}];
  while (fread(x, sizeof *x, {d}, stdin) == {d}) {{
    net_forward(x, y);
    net_jacobian(x, J);
    fwrite(y, sizeof *y, {k}, stdout);
    fwrite(J, sizeof *J, {d} * {k}, stdout);
  }}
  return 0;
}}
"""


def compile_and_load(folder, command):
    subprocess.run([*command, "-shared", "-fPIC", "-o", folder / "net.so", "-lm"],
                   check=True, cwd=folder)  # fmt: skip
    library = ctypes.CDLL(str(folder / "net.so"))

    def call(name, x, size):
        y = np.full(size, 77, x.dtype)
        pointer = ctypes.c_void_p
        function = getattr(library, name)
        function.argtypes, function.restype = [pointer, pointer], None
        function(x.ctypes.data, y.ctypes.data)
        return y

    return call


def in_c(net, folder, compiler, level="-O3"):
    net.to_c(folder / "net.c")
    return compile_and_load(folder, [compiler, "-std=c99", level, *STRICT, "net.c"])


def in_cpp(net, folder, compiler, level="-O3", standard="-std=c++11"):
    net.to_cpp(folder / "net.h")
    (folder / "call.cpp").write_text(CALLER.format(T=c_type(net)))
    return compile_and_load(folder, [compiler, standard, level, *STRICT, "call.cpp"])


def c_type(net):
    return "float" if net.dtype == np.float32 else "double"


def random_net(sizes, activations, dtype="float32", bias=True, scale=1.0, seed=0):
    net = fastrelu.Network(sizes, activation=activations, dtype=dtype, bias=bias, scale=scale,
                           seed=seed)  # fmt: skip
    rng = np.random.default_rng(seed)
    net.parameters[:] += 0.3 * rng.normal(size=net.n_parameters)
    net.parameters[rng.random(net.n_parameters) < 0.1] = 0
    net.parameters[rng.random(net.n_parameters) < 0.05] *= -0.0
    return net


def rows_for(net, seed=0, count=20):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, net.layer_sizes[0])) * rng.choice([1e-30, 0.1, 3, 1e3], (count, 1))
    x[0], x[1] = 0, -0.0
    return (x / net.scale).astype(net.dtype)


def check(net, call, rows):
    d, k = net.layer_sizes[0], net.layer_sizes[-1]
    outputs, derivatives = (
        net.forward(rows, check_finite=False),
        net.jacobian(rows, check_finite=False),
    )
    for x, y, J in zip(rows, outputs, derivatives, strict=True):
        x = np.ascontiguousarray(x)
        assert same_bits(call("net_forward", x, k), y)
        assert same_bits(call("net_jacobian", x, d * k).reshape(k, d), J)


@pytest.mark.parametrize("level", ["-O0", "-O3"])
@pytest.mark.parametrize("language", ["C", "C++"])
@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_every_activation_gives_the_networks_bits(name, language, level, dtype, tmp_path):
    net = random_net([5, 17, 9, 3], name, dtype, seed=3)
    for compiler in C_COMPILERS if language == "C" else CPP_COMPILERS:
        call = (in_c if language == "C" else in_cpp)(net, tmp_path, compiler, level)
        check(net, call, rows_for(net))
        (tmp_path / "net.so").unlink()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    data=st.data(),
    dtype=st.sampled_from(["float32", "float64"]),
    bias=st.booleans(),
    scale=st.sampled_from([1.0, 1 / 255, 3.7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_networks(sizes, data, dtype, bias, scale, seed, tmp_path_factory):
    kinds = st.lists(st.sampled_from(ACTIVATION_NAMES), min_size=len(sizes) - 2,
                     max_size=len(sizes) - 2)  # fmt: skip
    net = random_net(sizes, data.draw(kinds), dtype, bias, scale, seed)
    write = data.draw(st.sampled_from([in_c, in_cpp]))
    compilers = C_COMPILERS if write is in_c else CPP_COMPILERS
    call = write(net, tmp_path_factory.mktemp("net"), data.draw(st.sampled_from(compilers)))
    check(net, call, rows_for(net, seed))


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_what_is_not_finite_or_out_of_range_goes_the_same_way(name, dtype, tmp_path):
    net = fastrelu.Network([1, 1, 1], dtype=dtype, activation=name)
    net.parameters[:] = [1, 0, 1, 0]
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    values = [np.nan, np.inf, tiny, 1e-20, 0.5, 0.55, 0.6, 20, 88.7, 103, 709.7, 745, huge]
    rows = np.array([*values, *np.negative(values)], dtype)[:, np.newaxis]
    check(net, in_c(net, tmp_path, C_COMPILERS[0]), rows)


@pytest.mark.parametrize("n_out", [1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 17])
def test_every_number_of_outputs_and_units(n_out, dtype, tmp_path):
    net = random_net([5 + n_out % 4, 41 - n_out, 8 + n_out, n_out], "relu", dtype, seed=n_out)
    check(net, in_c(net, tmp_path, C_COMPILERS[n_out % len(C_COMPILERS)]), rows_for(net))


@pytest.mark.parametrize("write", [in_c, in_cpp])
def test_units_that_are_off_count_in_the_sign_of_a_derivative_that_is_zero(write, dtype, tmp_path):
    # The first unit's term underflows to -0, to which the second one, which is off, adds +0 or -0.
    net = fastrelu.Network([3, 2, 2], dtype=dtype)
    tiny = 1e-30 if dtype == "float32" else 1e-200
    net.weights[0][:] = [[-tiny, 1], [-tiny, -1], [0, 0]]
    net.biases[0][:] = 1, -1
    net.weights[1][:] = [[tiny, 1], [1, 1]]
    rows = np.zeros((2, 3), dtype)
    rows[1] = 5, 0, 0
    signs = np.signbit(net.jacobian(rows)[0, 0])
    assert list(signs) == [False, True, False]
    compiler = (C_COMPILERS if write is in_c else CPP_COMPILERS)[0]
    check(net, write(net, tmp_path, compiler), rows)
    net.biases[0][:] = -1  # all units off
    (tmp_path / "off").mkdir()
    check(net, write(net, tmp_path / "off", compiler), rows)


def test_parameters_of_every_size_are_written_exactly(dtype, tmp_path):
    net = fastrelu.Network([1, 9], dtype=dtype)
    limits = np.finfo(dtype)
    net.weights[0][0] = [limits.max, -limits.max, limits.tiny, limits.smallest_subnormal,
                         -limits.smallest_subnormal, 1 / 3, 1, -0.0, 1e-40]  # fmt: skip
    check(net, in_c(net, tmp_path, C_COMPILERS[0], "-O0"), np.ones((1, 1), dtype))


@pytest.mark.parametrize("standard", ["-std=c++17", "-std=c++20"])
def test_the_header_is_also_that_of_later_standards(standard, tmp_path):
    net = random_net([2, 3, 1], "tanh")
    check(net, in_cpp(net, tmp_path, CPP_COMPILERS[0], "-O1", standard), rows_for(net))


@pytest.mark.parametrize("sizes", [[9, 33, 17, 2], [4, 64, 64, 2], [8, 8, 16, 1]])
def test_instructions_of_the_processor_change_no_bit(sizes, dtype, tmp_path):
    net = random_net(sizes, ["silu", "relu"], dtype)
    net.to_c(tmp_path / "net.c")
    command = [C_COMPILERS[0], "-std=c99", "-O3", "-march=native", *STRICT, "net.c"]
    check(net, compile_and_load(tmp_path, command), rows_for(net))


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
def test_another_processor_gives_the_same_bits(activation, dtype, tmp_path):
    compiler, run = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if compiler is None or run is None:
        pytest.skip("needs a cross compiler for aarch64 and qemu")
    net = random_net([3, 18, 8, 2], activation, dtype)
    net.to_c(tmp_path / "net.c")
    words = {"T": c_type(net), "d": 3, "k": 2}
    (tmp_path / "main.c").write_text(MAIN.format(**words))
    made = subprocess.run([compiler, "-std=c99", "-O3", *STRICT, "-static", "net.c", "main.c",
                           "-o", "net", "-lm"], cwd=tmp_path, capture_output=True)  # fmt: skip
    assert made.returncode == 0, made.stderr
    rows = rows_for(net)
    done = subprocess.run([run, tmp_path / "net"], input=rows.tobytes(), capture_output=True,
                          check=True)  # fmt: skip
    result = np.frombuffer(done.stdout, dtype).reshape(len(rows), -1)
    assert same_bits(result[:, :2], net(rows))
    assert same_bits(result[:, 2:].reshape(-1, 2, 3), net.jacobian(rows))


def test_fast_math_is_refused_where_it_would_be_wrong(tmp_path):
    random_net([2, 3, 1], "tanh").to_c(tmp_path / "net.c")
    command = [C_COMPILERS[0], "-ffast-math", "-c", "net.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "-ffast-math" in done.stderr


@pytest.mark.parametrize("name", ["", "1net", "_net", "a-b", "n" * 61, "größe"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(name, tmp_path):
    net = fastrelu.Network([2, 1])
    for write in (net.to_c, net.to_cpp):
        with pytest.raises(ValueError, match="name: expected a name in C"):
            write(tmp_path / "net", name)
    with pytest.raises(TypeError, match="name: expected a str, got int"):
        net.to_c(tmp_path / "net", 3)
    with pytest.raises(ValueError, match=r"class of C\+\+, got its keyword 'double'"):
        net.to_cpp(tmp_path / "net", "double")
    for taken in ("forward", "jacobian", "inputs", "outputs", "uint32_t", "NULL", "linux"):
        with pytest.raises(ValueError, match=f"got '{taken}', which is a member's"):
            net.to_cpp(tmp_path / "net", taken)
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_not_finite_are_refused_before_anything_is_written(tmp_path):
    net = fastrelu.Network([2, 1])
    net.parameters[:2] = np.nan, np.inf
    with pytest.raises(ValueError, match="2 parameters that are not finite"):
        net.to_c(tmp_path / "net.c")
    assert not list(tmp_path.iterdir())


def test_all_activations_are_known():
    assert set(c_templates.ACTIVATIONS) == set(ACTIVATION_NAMES)
