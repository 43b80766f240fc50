# SPDX-License-Identifier: BSD-3-Clause
"""Networks from and to PyTorch, files of its exporters, and FusedMLP in its loops."""

import copy
import pickle

import numpy as np
import pytest
from conftest import same_bits

import fastrelu
from fastrelu._catalogue import ACTIVATIONS

torch = pytest.importorskip("torch")
nn = torch.nn
from fastrelu.torch import FusedMLP, Scale  # noqa: E402

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def sequential(*parts, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*[part() if isinstance(part, type) else part for part in parts])


def close(net, module, width, dtype="float32"):
    x = np.random.default_rng(0).normal(size=(30, width)).astype(dtype)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    assert net(x).dtype == theirs.dtype
    np.testing.assert_allclose(net(x), theirs, rtol=tolerance, atol=tolerance)


# Translations


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_to_torch_and_back(name, bias, dtype):
    net = fastrelu.Network([4, 7, 5, 2], activation=name, dtype=dtype, bias=bias, scale=0.25)
    module = net.to_torch()
    close(net, module, 4, dtype)
    again = fastrelu.from_torch(module)
    assert same_bits(again.parameters, net.parameters) and again.scale == 0.25
    assert again.activations == ([] if name == "identity" else net.activations) or (
        again.activations == net.activations
    )
    with torch.no_grad():
        module[1].weight[:] = 7
    assert not (net.weights[0] == 7).any()


def test_from_a_sequential_with_others_inside():
    inner = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.5))
    module = sequential(nn.Flatten(), nn.Identity(), inner, nn.Linear(5, 3, bias=False), nn.SiLU)
    net = fastrelu.from_torch(module.eval())
    assert net.layer_sizes == [6, 5, 3, 3] and net.activations == ["tanh", "silu"]
    close(net, module, 6)


def test_a_part_that_is_there_twice_is_read_twice():
    part, tied = nn.ReLU(), nn.Linear(6, 6)
    twice = nn.Sequential(tied, nn.Tanh())
    module = sequential(tied, part, tied, part, twice, twice, nn.Linear(6, 2))
    net = fastrelu.from_torch(module)
    assert net.layer_sizes == [6] * 5 + [2] and net.activations == ["relu"] * 2 + ["tanh"] * 2
    close(net, module, 6)


class Derived(nn.Sequential):
    pass


def test_what_has_the_forward_of_torchs_own():
    class Dense(nn.Linear):
        pass

    normed = nn.utils.parametrizations.weight_norm(nn.Linear(5, 4))
    for module in (Derived(nn.Linear(6, 3), nn.ELU()), sequential(Dense(6, 5), nn.SiLU, normed)):
        close(fastrelu.from_torch(module), module, 6)
    compiled = torch.compile(sequential(nn.Linear(2, 3), nn.ReLU), backend="eager")
    assert fastrelu.from_torch(compiled).layer_sizes == [2, 3, 3]


def test_activations_of_the_inputs():
    module = sequential(nn.Flatten(), nn.Tanh, nn.Linear(3, 2), nn.Sigmoid, nn.ReLU)
    net = fastrelu.from_torch(module)
    assert net.layer_sizes == [3, 3, 2, 2, 2]
    close(net, module, 3)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float8_e4m3fn"])
def test_fewer_digits_become_float32(kind, tmp_path):
    import safetensors.torch

    state = {"0.weight": torch.tensor([[1.5, -0.25]]), "0.bias": torch.tensor([3.0])}
    state = {name: tensor.to(getattr(torch, kind)) for name, tensor in state.items()}
    assert fastrelu.from_torch(state).parameters.tolist() == [1.5, -0.25, 3]
    path = tmp_path / "state.safetensors"
    safetensors.torch.save_file(state, path)
    if kind != "float8_e4m3fn":
        net = fastrelu.from_torch(path)
        assert net.parameters.tolist() == [1.5, -0.25, 3] and net.dtype == np.float32
    else:
        message = r"source\['0.bias'\]: expected one of F64, .*, got F8_E4M3 of"
        with pytest.raises(ValueError, match=message):
            fastrelu.from_torch(path)


@pytest.mark.parametrize("as_file", [True, False])
def test_from_a_state_dict(as_file, dtype, tmp_path):
    kind = DTYPES[dtype]
    parts = [p for k in range(11) for p in (nn.Linear(4, 4, dtype=kind), nn.ReLU())]
    module = sequential(*parts, nn.Linear(4, 2, dtype=kind))
    source = module.state_dict()
    if as_file:  # its names are in order of the alphabet: 0, 10, 12, 2, ...
        import safetensors.torch

        source = tmp_path / "state.safetensors"
        safetensors.torch.save_file(module.state_dict(), source)
    close(fastrelu.from_torch(source), module, 4, dtype)


def test_a_file_without_numbers_needs_the_order(tmp_path):
    import safetensors.torch

    state = {"fc.weight": torch.ones(3, 3), "out.weight": 2 * torch.ones(3, 3)}
    safetensors.torch.save_file(state, tmp_path / "state.safetensors")
    with pytest.raises(ValueError, match=r"layers: the order of the layers does not follow"):
        fastrelu.from_torch(tmp_path / "state.safetensors")
    net = fastrelu.from_torch(tmp_path / "state.safetensors", "tanh", layers=["fc", "out"])
    assert net.weights[1][0, 0] == 2 and net.activations == ["tanh"]
    with pytest.raises(ValueError, match=r"layers: expected each of \['fc', 'out'\] once"):
        fastrelu.from_torch(state, layers=["fc"])


REFUSED = {
    "slope": (nn.LeakyReLU(0.2), r"module '1' \(LeakyReLU\): negative_slope is 0.2, but"),
    "alpha": (nn.ELU(2.0), r"module '1' \(ELU\): alpha is 2.0, but"),
    "norm": (nn.BatchNorm1d(3), r"module '1' \(BatchNorm1d\): a network of fastrelu has no such"),
    "widths": (nn.Linear(4, 2), r"module '1' \(Linear\): expected weights of 3 inputs"),
    "flatten": (nn.Flatten(0), "expected dimensions 1 to -1"),
}


def hooked(part):
    """Return a module with a hook that changes what it computes."""
    part.register_forward_hook(lambda module, inputs, output: 2 * output)
    return part


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Other(nn.Module):
    """Has the name of ours."""


Other.__name__ = "Scale"


def changed(part, **attributes):
    """Return a module with attributes of its own."""
    vars(part).update(attributes)
    return part


def derived(kind, *given, **methods):
    """Return a module of a class that derives from one, and has other methods."""
    return type("Derived", (kind,), methods)(*given)


def doubled(self, x):
    return 2 * x


ODD = {
    "hook": (nn.Sequential(hooked(nn.Linear(2, 1))), r"module '0' \(Linear\): has a forward hook"),
    "outer hook": (hooked(nn.Sequential(nn.Linear(2, 1))),
                   r"module 'itself' \(Sequential\): has a forward hook"),
    "forward": (nn.Sequential(Doubled(2, 1)), r"module '0' \(Doubled\): expected a torch.nn.Seq"),
    "lazy": (nn.Sequential(nn.LazyLinear(1)), r"module '0' \(LazyLinear\): .* has no such layer"),
    "gelu": (nn.Sequential(nn.Linear(2, 1), nn.GELU()), r"module '1' \(GELU\): .* no such layer"),
    "name": (nn.Sequential(Other(), nn.Linear(2, 1)), r"module '0' \(Scale\): expected a torch"),
    "factors": (nn.Sequential(Scale(2), Scale(2), nn.Linear(2, 1)),
                r"module '1' \(Scale\): expected one factor on the inputs, before all layers"),
    "meta": (nn.Linear(2, 1, device="meta"), r"\(Linear\): expected a dense tensor with values"),
    "own forward": (nn.Sequential(nn.Linear(2, 1), changed(nn.ReLU(), forward=torch.neg)),
                    r"module '1' \(ReLU\): expected a torch.nn.Seq"),
    "outer forward": (changed(nn.Sequential(nn.Linear(2, 1)), forward=torch.neg), "'itself'"),
    "call": (nn.Sequential(derived(nn.Linear, 2, 1, __call__=doubled)), r"'0' \(Derived\): exp"),
    "order": (derived(nn.Sequential, nn.Linear(2, 1), __iter__=doubled), r"'itself' \(Derived\)"),
    "scale hook": (nn.Sequential(hooked(Scale(2)), nn.Linear(2, 1)),
                   r"module '0' \(Scale\): has a forward hook"),
    "scale": (nn.Sequential(derived(Scale, 2, forward=doubled), nn.Linear(2, 1)),
              r"module '0' \(Derived\): expected a torch.nn.Seq"),
    "fused hook": (hooked(FusedMLP([2, 1])), r"'itself' \(FusedMLP\): has a forw"),
    "fused": (derived(FusedMLP, [2, 1], forward=doubled), r"'itself' \(Derived\)"),
    "network": (changed(nn.GELU(), network=fastrelu.Network([2, 1])), r"\(GELU\): .* no such"),
    "sparse": ({"0.weight": torch.eye(3).to_sparse()},
               r"source\['0.weight'\]: expected a dense tensor with values, got one of torch.sp"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_would_be_another_network_is_refused_by_name(name):
    source, message = ODD[name]
    with pytest.raises(ValueError, match=message):
        fastrelu.from_torch(source)


@pytest.mark.parametrize("kind", ["hook", "pre_hook"])
def test_a_hook_of_all_modules_is_refused(kind):
    module = nn.Sequential(nn.Linear(2, 1))
    hook = getattr(nn.modules.module, f"register_module_forward_{kind}")(lambda *_: None)
    try:
        with pytest.raises(ValueError, match="there is a forward hook of all modules"):
            fastrelu.from_torch(module)
    finally:
        hook.remove()
    assert fastrelu.from_torch(module).layer_sizes == [2, 1]


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")
def test_a_nested_tensor_is_refused():
    nested = torch.nested.nested_tensor([torch.ones(2)])
    with pytest.raises(ValueError, match="expected a dense tensor with values"):
        fastrelu.from_torch({"weight": nested})


def test_more_digits_than_a_double_has_become_one():
    third = np.longdouble(1) / 3
    net = fastrelu.from_torch({"weight": np.full((1, 2), third)})
    assert net.dtype == np.float64 and net.weights[0][0, 0] == np.float64(third)


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_is_no_network_is_refused_by_name(name):
    part, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        fastrelu.from_torch(nn.Sequential(nn.Linear(2, 3), part))


def test_sources_that_are_none(tmp_path):
    class Own(nn.Module):
        pass

    with pytest.raises(ValueError, match=r"module 'itself' \(Own\): expected a torch"):
        fastrelu.from_torch(Own())
    with pytest.raises(TypeError, match=r"source: expected a torch.*got int"):
        fastrelu.from_torch(3)
    with pytest.raises(FileNotFoundError):
        fastrelu.from_torch(tmp_path / "no.safetensors")
    torch.save({}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="weights_only=True"):
        fastrelu.from_torch(tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"'bn.running_mean' of shape \(3,\) is neither"):
        fastrelu.from_torch({"bn.running_mean": torch.ones(3)})
    with pytest.raises(TypeError, match="a module says these itself"):
        fastrelu.from_torch(nn.Linear(2, 1), "tanh")
    with pytest.raises(ValueError, match="activation: expected one name, or a list"):
        fastrelu.from_torch({"weight": torch.ones(1, 2)}, ["tanh"])
    with pytest.raises(TypeError, match="activation: expected a name or a list of names, got int"):
        fastrelu.from_torch({"weight": torch.ones(1, 2)}, 3)


# ONNX files of torch's two exporters


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(
    "part", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.Identity]
)
def test_files_of_torchs_exporters(part, dynamo, tmp_path):
    pytest.importorskip("onnxscript" if dynamo else "onnx")
    tied = nn.Linear(6, 6)
    module = sequential(nn.Flatten(), tied, part, tied, nn.ReLU, nn.Dropout(0.4),
                        nn.Linear(6, 2, bias=False)).eval()  # fmt: skip
    example = torch.randn(4, 2, 3)
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (example,), path, dynamo=dynamo, verbose=False)
    net = fastrelu.from_onnx(path)
    with torch.no_grad():
        theirs = module(example).numpy()
    np.testing.assert_allclose(net(example.numpy().reshape(4, 6)), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_an_active_dropout_is_refused(tmp_path):
    pytest.importorskip("onnx")
    module = sequential(nn.Linear(3, 3), nn.Dropout(0.4), nn.Linear(3, 1))
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (torch.randn(4, 3),), path, dynamo=False,
                      training=torch.onnx.TrainingMode.TRAINING)  # fmt: skip
    with pytest.raises(ValueError, match=r"\(Dropout\): is active: the module was exported"):
        fastrelu.from_onnx(path)


# The module


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_gradcheck(name):
    mlp = FusedMLP([3, 5, 4, 2], activation=name, dtype="float64", scale=0.5)
    torch.manual_seed(0)
    with torch.no_grad():  # biases of 0 would put units on their kink
        mlp.flat.add_(torch.rand_like(mlp.flat) * 0.1)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    flat = mlp.flat

    def passes(x, flat):
        return mlp(x)

    assert torch.autograd.gradcheck(passes, (x, flat), eps=1e-6, atol=1e-7)


def test_a_loop_of_torch_trains_it_as_it_does_its_own(dtype):
    net = fastrelu.Network([4, 16, 1], dtype=dtype, seed=1)
    theirs, ours = net.to_torch(), FusedMLP(net)
    X = torch.randn(64, 4, dtype=DTYPES[dtype])
    y = X.sum(dim=1, keepdim=True).abs()
    losses = []
    for module in (theirs, ours):
        optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
        for _ in range(50):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(module(X), y)
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4 if dtype == "float32" else 1e-10)
    assert losses[1] < 0.8 * float((y**2).mean())
    assert ours.network is net  # trained in place


def test_the_parameters_are_the_networks_memory_and_inputs_are_not_copied():
    mlp = FusedMLP([3, 4, 1])
    net = mlp.network
    assert mlp.flat.data_ptr() == net.parameters.ctypes.data
    with torch.no_grad():
        mlp.flat.fill_(2)
    assert (net.parameters == 2).all()
    mlp.load_state_dict({"flat": torch.arange(float(net.n_parameters))})
    assert net.parameters[3] == 3 and mlp.network is net


def test_moves_copies_and_pickles_keep_it_whole():
    mlp = FusedMLP([3, 4, 2], seed=5)
    x = torch.randn(7, 3)
    expected = mlp(x).detach()
    for other in (copy.deepcopy(mlp), pickle.loads(pickle.dumps(mlp))):
        assert torch.equal(other(x), expected)
        with torch.no_grad():
            other.flat.zero_()
        assert (other.network.parameters == 0).all() and torch.equal(mlp(x), expected)
    old = pickle.loads(pickle.dumps(mlp))
    del old.__dict__["_address"]  # as modules pickled by earlier versions are
    assert torch.equal(old(x), expected)
    double = copy.deepcopy(mlp).double()
    assert double(x.double()).dtype == torch.float64 and double.network.dtype == np.float64
    torch.testing.assert_close(double(x.double()).float(), expected)
    assert torch.equal(double.float()(x), expected)
    torch.testing.assert_close(fastrelu.from_torch(mlp)(x.numpy()), expected.numpy())


def test_shapes_and_strides():
    mlp = FusedMLP([3, 4, 2])
    x = torch.randn(5, 7, 3, requires_grad=True)
    assert mlp(x).shape == (5, 7, 2) and mlp(x[0, 0]).shape == (2,) and mlp(x[:0]).shape[0] == 0
    assert torch.equal(mlp(x[:, ::2]), mlp(x)[:, ::2])
    across = torch.randn(3, 7).T
    assert torch.equal(mlp(across), mlp(across.contiguous()))
    mlp(x).sum().backward()
    assert x.grad.shape == x.shape
    mlp(x[:, ::2]).expand(2, 5, 4, 2).sum().backward()  # a gradient of stride 0
    assert mlp(torch.ones(2, 3, dtype=torch.uint8)).shape == (2, 2)


def test_only_the_gradients_that_are_asked_for():
    mlp = FusedMLP([3, 4, 2])
    mlp.flat.requires_grad_(False)
    x = torch.randn(5, 3, requires_grad=True)
    mlp(x).sum().backward()
    assert x.grad is not None and mlp.flat.grad is None
    assert not mlp(x.detach()).requires_grad
    with torch.no_grad():
        assert not mlp(x).requires_grad


@pytest.mark.parametrize("measure", [torch.sum, lambda y: (y**2).sum()])
def test_a_penalty_on_the_gradient_is_an_error_and_not_left_out(measure):
    mlp, x = FusedMLP([3, 4, 2]), torch.randn(5, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(measure(mlp(x)), x, create_graph=True)
    loss = mlp(x).square().mean() + (gradient.norm(dim=1) - 1).square().mean()
    with pytest.raises(RuntimeError, match="FusedMLP has no second derivatives"):
        loss.backward()


def test_tensors_that_numpy_does_not_take_are_named():
    net = fastrelu.Network([3, 2])
    for x in (torch.ones(4, 3, requires_grad=True), torch.ones(4, 3, dtype=torch.bfloat16),
              torch.ones(4, 3, device="meta")):  # fmt: skip
        with pytest.raises(TypeError, match=r"X: expected an array of numbers, got Tensor \("):
            net(x)


def test_what_was_changed_between_the_passes_is_an_error():
    mlp = FusedMLP([3, 4, 2])
    loss = mlp(torch.randn(5, 3)).sum()
    with torch.no_grad():
        mlp.flat.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inputs_that_do_not_fit():
    mlp = FusedMLP([3, 4, 2])
    with pytest.raises(TypeError, match=r"x: expected torch\.float32 or torch\.uint8, got"):
        mlp(torch.ones(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"x: expected shape \(..., 3\), got \(2, 4\)"):
        mlp(torch.ones(2, 4))
    with pytest.raises(TypeError, match=r"x: expected a torch.Tensor, got list"):
        mlp([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="x: expected a tensor on the CPU, got one on meta"):
        mlp(torch.ones(2, 3, device="meta"))
    with pytest.raises(TypeError, match="settings: a network has its own, got activation"):
        FusedMLP(fastrelu.Network([2, 1]), activation="tanh")


@pytest.mark.filterwarnings("ignore")
def test_compile_leaves_it_out():
    mlp = nn.Sequential(FusedMLP([3, 4, 2]), nn.Softmax(dim=1))
    compiled = torch.compile(mlp, backend="eager")
    x = torch.randn(5, 3)
    assert torch.equal(compiled(x), mlp(x))
    compiled(x).sum().backward()
    assert mlp[0].flat.grad is not None


def test_scale_says_its_factor():
    assert repr(Scale(0.5)) == "Scale(0.5)" and repr(FusedMLP([2, 3, 1])) == "FusedMLP(2-3-1, relu)"
