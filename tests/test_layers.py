# SPDX-License-Identifier: BSD-3-Clause
"""Which way imports point: no circle in the package, and one way through the command's rooms."""

import ast
from pathlib import Path

import pytest

import fastrelu

ROOT = Path(__file__).parent.parent / "python"
if not ROOT.is_dir():
    pytest.skip("needs the sources", allow_module_level=True)
# A room imports from those before it alone.
ROOMS = [
    {"errors", "printable", "described"}, {"kinds"}, {"usual"}, {"option"},
    {"settings", "settings_file"}, {"data"}, {"preprocess"}, {"tabular"}, {"class_rows"},
    {"metrics", "ensemble", "model", "table_model", "run_folder", "export"}, {"report"}, {"run"},
    {"cli"},
]  # fmt: skip


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "fastrelu").rglob("*.py"))}


def statements(body, inside_functions):
    """Yield the import statements that run with a module, or also when its functions are called."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from statements(node.orelse, inside_functions)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or inside_functions:
            for name in ("body", "orelse", "handlers", "finalbody"):
                yield from statements(getattr(node, name, ()), inside_functions)


def imported(name, inside_functions=False):
    """Return the modules of the package that a module imports, packages on the way included."""
    found = set()
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in statements(ast.parse(MODULES[name].read_text()).body, inside_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            if base == "fastrelu" and alias.name in fastrelu._MODULES:
                whole = f"fastrelu.{fastrelu._MODULES[alias.name]}"
            found.add(whole if whole in MODULES else base)
    found |= {".".join(n.split(".")[:k]) for n in found for k in range(2, n.count(".") + 1)}
    # A package's own __init__ runs before its modules: what they need of it is there.
    around = {".".join(name.split(".")[:k]) for k in range(1, name.count(".") + 1)}
    return (found & MODULES.keys()) - around - {name, "fastrelu"}


def test_no_circle():
    graph = {name: imported(name) for name in MODULES}
    while leaves := {name for name, needs in graph.items() if not needs & graph.keys()}:
        for name in leaves:
            del graph[name]
    assert not graph, f"circles among {sorted(graph)}"


def room(name):
    parts = name.split(".")
    if parts[:2] != ["fastrelu", "app"] or len(parts) < 3:
        return None
    (place,) = [k for k, names in enumerate(ROOMS) if parts[2] in names]
    return place


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) is not None])
def test_the_commands_rooms_point_one_way(name):
    for other in imported(name, inside_functions=True):
        assert room(other) is None or room(other) <= room(name), other


def test_this_sees_a_circle(monkeypatch, tmp_path):
    (tmp_path / "fastrelu").mkdir()
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / "fastrelu" / f"{name}.py").write_text(
            f"if TYPE_CHECKING:\n    import x\nelse:\n    from .{other} import y\n"
        )
        monkeypatch.setitem(MODULES, f"fastrelu.{name}", tmp_path / "fastrelu" / f"{name}.py")
    with pytest.raises(AssertionError, match=r"circles among \['fastrelu\.a', 'fastrelu\.b'"):
        test_no_circle()
    (tmp_path / "fastrelu" / "c.py").write_text("def f():\n    from fastrelu import a\n")
    test_no_circle()
    assert imported("fastrelu.c", inside_functions=True) == {"fastrelu.a"}
