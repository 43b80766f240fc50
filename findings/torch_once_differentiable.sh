#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A torch function marked once_differentiable is differentiated twice without an error, and its part left out.
#
# Expected: torch's documentation has the decorator for a backward that cannot be differentiated again: to ask for
#   that is an error. A penalty on a gradient, g = grad(f(x), x, create_graph=True), asks for it as soon as g is
#   differentiated, whatever else the loss has.
# Seen (torch 2.13.0, CPU): the decorator looks at the gradient that comes in, but not at the tensors that were
#   saved. That of grad(f(x).sum(), x) is of ones and has no graph, so g has none: g.backward() says so, but in
#   loss = f(x).sum() + (g ** 2).sum() the penalty is a constant, the sum has a gradient, and nothing is raised. With
#   x * x in place of the function the gradient at 2 is 20, with the function 4. Where the gradient that comes in
#   has a graph, as in f(x).pow(2).sum(), the error is raised.
# What it means: a module whose backward is computed elsewhere has to look itself whether a graph is asked for;
#   fastrelu.torch.FusedMLP does, and raises.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.autograd.function import once_differentiable


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        (x,) = ctx.saved_tensors
        return 2 * x * d


def gradient(f, loss):
    x = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(loss(f(x)), x, create_graph=True)
    (f(x).sum() + (g**2).sum()).backward()
    return x.grad.item()


print("torch", torch.__version__)
plain = gradient(lambda x: x * x, torch.sum)
marked = gradient(Square.apply, torch.sum)
print(f"gradient of x^2 + (d x^2 / dx)^2 at 2: {plain}; by the function an error is expected, seen: {marked}")
assert plain == 20.0
assert marked == 4.0, "changed: the penalty's part is not left out any more"
try:
    gradient(Square.apply, lambda y: y.pow(2).sum())
except RuntimeError as error:
    print("where the gradient that comes in has a graph:", error)
    assert "once_differentiable" in str(error), "changed: another error"
else:
    raise SystemExit("changed: no error where the gradient that comes in has a graph")
PYTHON
echo "as described"
