# SPDX-License-Identifier: BSD-3-Clause
"""The house's own rules: which way things point, how long a file may be, what the stubs say."""

import ast
import re
from pathlib import Path

import pytest

from fastrelu import _core

ROOT = Path(__file__).parent.parent
if not (ROOT / "cpp").is_dir():
    pytest.skip("needs the sources", allow_module_level=True)
CPP = sorted((ROOT / "cpp").rglob("*.[ch]*"))
BINDINGS = sorted((ROOT / "src").glob("*.[ch]*"))
PYTHON = sorted((ROOT / "python").rglob("*.py"))
ALL = [
    *CPP,
    *BINDINGS,
    *PYTHON,
    *sorted((ROOT / "tests").glob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "examples").glob("*.py")),
]


def includes(path: Path) -> list[str]:
    return re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_is_short_and_licensed(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 500
    assert not lines or any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2])


@pytest.mark.parametrize("path", CPP, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_knows_nothing_of_python(path: Path) -> None:
    for name in includes(path):
        assert not re.search(r"Python\.h|pybind11|numpy|^\.\./src", name)
        assert name not in {p.name for p in BINDINGS} - {p.name for p in CPP}


@pytest.mark.parametrize(
    "path", [p for p in CPP if p.parent.name == "kernels"], ids=lambda p: p.name
)
def test_kernels_know_nothing_of_the_core_above_them(path: Path) -> None:
    above = {"network.h", "trainer.h", "thread_pool.h", "thread_choice.h", "dispatch.h"}
    assert not above & {Path(name).name for name in includes(path)}


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if "reference" in p.parts],
    ids=lambda p: p.name,
)
def test_the_reference_stands_alone(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith("fastrelu.") or name.startswith(
            ("fastrelu.reference", "fastrelu._arguments", "fastrelu.schedules")
        ), name


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if "app" not in p.parts and p.stem not in ("__main__", "training")],
    ids=lambda p: str(p.relative_to(ROOT / "python")),
)
def test_the_library_does_not_import_the_command(path: Path) -> None:
    assert not any(name.startswith(("fastrelu.app", "fastrelu.training")) for name in imports(path))


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if "app" in p.parts],
    ids=lambda p: str(p.relative_to(ROOT / "python")),
)
def test_the_command_uses_public_names_alone(path: Path) -> None:
    for name in imports(path):
        private = [part for part in name.split(".")[1:] if re.match(r"_(?!_)", part)]
        assert not private or not name.startswith("fastrelu"), name
    tree = ast.parse(path.read_text())
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    nodes = [n for n in nodes if re.match(r"_(?!_)", n.attr)]
    own = {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id in ("self", "cls")}
    own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for node in nodes:  # another object's, unless of a class in the same file
        inherited = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
        assert inherited or node.attr in own, f"{ast.unparse(node)}, line {node.lineno}"


def test_the_stubs_name_what_the_compiled_module_has() -> None:
    stub = ast.parse((ROOT / "python/fastrelu/_core.pyi").read_text())
    for node in stub.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if not hasattr(_core, node.name):
                bases = [ast.unparse(b) for b in getattr(node, "bases", [])]
                assert "TypedDict" in bases or "Protocol" in bases, node.name
                continue
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, ast.FunctionDef):
                        assert hasattr(getattr(_core, node.name), item.name), item.name
    stubbed = {n.name for n in stub.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    stubbed |= {
        t.id
        for n in stub.body
        if isinstance(n, ast.AnnAssign) and isinstance(t := n.target, ast.Name)
    }
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert public <= stubbed
