#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# safetensors.numpy writes an array's memory, not its elements: what is not in C order comes back as other numbers.
#
# Expected: save takes an array as NumPy does, or refuses one whose rows do not lie one after another (as
#   safetensors.torch does with tensors that are not contiguous); load gives back what was saved.
# Seen (safetensors 0.8.0, NumPy 2.4.6): an array in Fortran order, a transposed one, every other column, rows
#   backwards and a broadcast row are written without an error or a warning, and load gives other numbers.
# What it means: whoever saves arrays that users hand over makes them contiguous first; fastrelu.model_file.write does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

square = np.arange(12.0).reshape(3, 4)
arrays = {
    "C order": square,
    "Fortran order": np.asfortranarray(square),
    "transposed": square.T,
    "every other column": square[:, ::2],
    "rows backwards": square[::-1],
    "a row repeated": np.broadcast_to(square[0], (3, 4)),
}
print("safetensors", safetensors.__version__, "- expected: all come back as they were")
for name, array in arrays.items():
    same = np.array_equal(load(save({"a": array}))["a"], array)
    print(f"{name}: {'the same' if same else 'other numbers'}")
    assert same == (name == "C order"), f"changed: {name}"
PYTHON
echo "as described"
