# SPDX-License-Identifier: BSD-3-Clause
"""The C source of a network on microcontrollers, by the cross compiler and under an emulator."""

import shutil
import subprocess

import numpy as np
import pytest
from conftest import same_bits

import fastrelu

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
if shutil.which(COMPILER) is None or shutil.which(EMULATOR) is None:
    pytest.skip(f"needs {COMPILER} and {EMULATOR}", allow_module_level=True)

# Boards of the emulator: a Cortex-M4 computes float by itself, an M7 double too. Both have an fma.
BOARDS = {
    "float32": ("mps2-an386", ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"]),
    "float64": ("mps2-an500", ["-mcpu=cortex-m7", "-mfpu=fpv5-d16"]),
}
# What the processor reads first: its stack, and where to begin. The unit for numbers is off then.
BOOT = """
void _start(void);
void begin(void)
{
  *(volatile unsigned *)0xE000ED88 |= 0xFu << 20;
  _start();
}
__attribute__((section(".vectors"), used)) static void *const vectors[] =
    {(void *)0x20200000, (void *)begin};
"""
LAYOUT = """
ENTRY(begin)
SECTIONS
{
  . = 0;
  .text : { KEEP(*(.vectors)) *(.text*) KEEP(*(.init)) KEEP(*(.fini)) *(.rodata*) *(.eh_frame*) }
  .ARM.exidx : { *(.ARM.exidx*) }
  . = 0x20000000;
  .data : { *(.data*) *(.init_array*) *(.fini_array*) }
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; }
  end = .;
  __end__ = .;
}
"""
# Prints y and J of each row, byte by byte.
MAIN = """
#include <stdio.h>
void net_forward(const {T} *x, {T} *y);
void net_jacobian(const {T} *x, {T} *J);
static const union {{ unsigned char bytes[{size}]; {T} x[{n}][{d}]; }} rows = {{ {{ {bytes} }} }};
static void show(const void *values, unsigned size)
{{
  for (unsigned i = 0; i < size; ++i) printf("%02x", ((const unsigned char *)values)[i]);
}}
int main(void)
{{
  {T} y[{k}], J[{d} * {k}];
  for (int n = 0; n < {n}; ++n) {{
    net_forward(rows.x[n], y);
    net_jacobian(rows.x[n], J);
    show(y, sizeof y);
    show(J, sizeof J);
  }}
  return 0;
}}
"""


def run_on_board(net, rows, folder):
    """Return the outputs and Jacobians, row by row, that the network's C source gives there."""
    board, processor = BOARDS[net.dtype.name]
    d, k = net.layer_sizes[0], net.layer_sizes[-1]
    net.to_c(folder / "net.c")
    (folder / "boot.c").write_text(BOOT)
    (folder / "layout.ld").write_text(LAYOUT)
    words = {"T": "float" if net.dtype == np.float32 else "double", "d": d, "k": k}
    words |= {"n": len(rows), "size": rows.nbytes, "bytes": ", ".join(map(str, rows.tobytes()))}
    (folder / "main.c").write_text(MAIN.format(**words))
    command = [COMPILER, "-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Werror", "-mthumb",
               "-mfloat-abi=hard", *processor, "--specs=rdimon.specs", "-T", "layout.ld",
               "net.c", "main.c", "boot.c", "-o", "net.elf", "-lm"]  # fmt: skip
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if "rdimon.specs" in made.stderr:
        pytest.skip("needs newlib for this compiler (Debian: libnewlib-arm-none-eabi)")
    assert made.returncode == 0, made.stderr
    done = subprocess.run(
        [EMULATOR, "-M", board, "-display", "none", "-serial", "none", "-monitor", "none",
         "-semihosting", "-kernel", "net.elf"],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    values = np.frombuffer(bytes.fromhex(done.stdout.decode()), net.dtype)
    return values.reshape(len(rows), -1)


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "elu"])
def test_a_microcontroller_gives_the_networks_bits(activation, dtype, tmp_path):
    net = fastrelu.Network([3, 18, 8, 2], activation=activation, dtype=dtype, scale=0.3, seed=1)
    rng = np.random.default_rng(0)
    net.parameters[:] += 0.3 * rng.normal(size=net.n_parameters)
    rows = (rng.normal(size=(20, 3)) * rng.choice([1e-30, 0.1, 3, 1e3], (20, 1))).astype(dtype)
    rows[0], rows[1] = 0, -0.0
    found = run_on_board(net, rows, tmp_path)
    assert same_bits(found[:, :2], net(rows))
    assert same_bits(found[:, 2:].reshape(-1, 2, 3), net.jacobian(rows))
