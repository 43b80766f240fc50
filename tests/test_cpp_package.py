# SPDX-License-Identifier: BSD-3-Clause
"""The CMake package, in a project outside of this one, gives the bits of the Python package."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastrelu

EXAMPLE = Path(__file__).parents[1] / "examples" / "cpp"
if not shutil.which("cmake") or not EXAMPLE.exists():
    pytest.skip("needs CMake and the examples", allow_module_level=True)


def run(*command, cwd, **environment):
    return subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, text=True,
        env={**os.environ, **environment},
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The example, copied out of the checkout and built.

    Neither optimized nor with debug information: that is quicker, and changes no bit.
    """
    folder = tmp_path_factory.mktemp("cpp")
    shutil.copytree(EXAMPLE, folder / "project")
    options = [
        f"-Dfastrelu_DIR={fastrelu.get_cmake_dir()}",
        "-DFASTRELU_OPTIMIZE=-O0",
        "-DCMAKE_BUILD_TYPE=None",
    ]
    if shutil.which("ccache"):
        options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    run("cmake", "-S", "project", "-B", "build", *options, cwd=folder)
    run("cmake", "--build", "build", "--parallel", "2", cwd=folder)
    return folder / "build" / "sine"


def hash_of(parameters):
    found = 14695981039346656037
    for bits in parameters.view(np.uint32).tolist():
        found = (found ^ bits) * 1099511628211 % 2**64
    return f"{found:016x}"


@pytest.mark.parametrize("isa", [None, "baseline"])
def test_a_program_trains_to_the_bits_of_the_python_package(program, isa):
    x = np.arange(512, dtype=np.float32) / np.float32(256) - np.float32(1)
    y = x * (np.float32(1) - x * x)
    net = fastrelu.Network([1, 32, 32, 1], seed=1)
    adam = fastrelu.Adam(0.003)
    trainer = fastrelu.Trainer(net, optimizer=adam, batch_size=32, seed=2)
    trainer.fit(x[:, None], y[:, None], epochs=60)
    chosen = {} if isa is None else {"FASTRELU_ISA": isa, "FASTRELU_NUM_THREADS": "1"}
    printed = run(str(program), cwd=program.parent, **chosen)
    assert re.search(r"parameters (\w+)", printed).group(1) == hash_of(net.parameters)
    assert float(re.search(r"largest error ([\d.]+)", printed).group(1)) < 0.1


ERRORS = {
    "sizes: expected at least two": "fastrelu::Model<float> m({{3}});",
    "activation: expected one of relu": 'fastrelu::Model<float> m({{3, 1}, "relux"});',
    "loss: expected one of squared_error": 'o.loss = "x"; m.fit(x, y, 2, o);',
    "takes labels, got numbers": 'o.loss = "cross_entropy"; m.fit(x, y, 2, o);',
    "labels: expected 0 .. 1, got 2 in row 1": 'o.loss = "cross_entropy"; m.fit(x, t, 2, o);',
    "rows: expected at least one": "m.fit(x, y, 0, o);",
    "batch_size: expected 1 or more": "o.batch_size = 0; m.fit(x, y, 2, o);",
    "or 0 for the optimizer's usual one, got -1": "o.learning_rate = -1; m.fit(x, y, 2, o);",
    "for the optimizer's usual one, got nan": "o.learning_rate = NAN; m.fit(x, y, 2, o);",
    "momentum: expected a number in [0, 1], got 1.5": "o.momentum = 1.5; m.fit(x, y, 2, o);",
    "momentum: is sgd's, got 0.5": 'o.optimizer = "lion"; o.momentum = 0.5; m.fit(x, y, 2, o);',
    "weight_decay: expected a finite number": "o.weight_decay = NAN; m.fit(x, y, 2, o);",
    "x: expected finite numbers, got inf in row 1, column 2": "m.fit(z, y, 2, o);",
    "y: expected finite targets for squared_error, got nan in row 1": "m.fit(x, v, 2, o);",
    "targets in [0, 1] for binary_cross_entropy, got 2 in row 0, column 1": (
        'o.loss = "binary_cross_entropy"; m.fit(x, y, 2, o);'
    ),
    "epoch 2 are not finite": "o.learning_rate = 1e30; m.fit(x, y, 2, o);",
}


def test_bad_arguments_are_said(program, tmp_path):
    tries = "".join(
        f"try {{ {{ {code} }} std::puts(\"nothing\"); }} catch (const std::exception& e) "
        "{ std::puts(e.what()); }\n"
        for code in ERRORS.values()
    )  # fmt: skip
    (tmp_path / "errors.cpp").write_text(f"""
#include <fastrelu/model.h>
#include <cmath>
#include <cstdio>
#include <exception>
int main() {{
  fastrelu::Model<float> m({{{{3, 2}}}});
  const float x[6] = {{1, 2, 3, 4, 5, 6}}, y[4] = {{1, 2, 3, 4}};
  const float z[6] = {{1, 2, 3, 4, 5, INFINITY}}, v[4] = {{1, 2, NAN, 4}};
  const std::int64_t t[2] = {{0, 2}};
  fastrelu::FitOptions o;
  {tries.replace("{ o.", "{ o = {}; o.").replace("{ m.fit", "{ o = {}; m.fit")}
}}
""")
    library = next(program.parent.rglob("libfastrelu_core.a"))
    run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{fastrelu.get_include()}",
        "errors.cpp", str(library), "-pthread", "-o", "errors", cwd=tmp_path)  # fmt: skip
    printed = run(str(tmp_path / "errors"), cwd=tmp_path).splitlines()
    assert len(printed) == len(ERRORS)
    for expected, message in zip(ERRORS, printed, strict=True):
        assert expected in message, message


def test_a_file_of_the_core_compiles_without_cmake(tmp_path):
    core = EXAMPLE.parents[1] / "cpp"
    run("c++", "-std=c++17", "-fsyntax-only", f"-I{core}", str(core / "model.cpp"), cwd=tmp_path)
