# SPDX-License-Identifier: BSD-3-Clause
"""The report of a run: right numbers, self-contained, not to be broken out of."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from report_tools import Page, content_of, flowers, prices

from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.preprocess import Target
from fastrelu.app.report import Evaluated, ReportContent, report_html, write_report
from fastrelu.app.report import pictures as pictures_module
from fastrelu.app.report.importance import permutation_importance, shuffled

metrics = pytest.importorskip("sklearn.metrics")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style></title><svg onload=alert(3)> $x^2$ \x00\x1b[31m \udc80 日本語",
]


@pytest.fixture(scope="module")
def classes() -> ReportContent:
    return content_of(flowers())


@pytest.fixture(scope="module")
def values() -> ReportContent:
    return content_of(prices())


@pytest.fixture(scope="module")
def class_page(classes: ReportContent) -> Page:
    return Page(report_html(classes))


@pytest.fixture(scope="module")
def value_page(values: ReportContent) -> Page:
    return Page(report_html(values))


def test_confusion_matrix_is_scikit_learns(classes: ReportContent, class_page: Page) -> None:
    test = classes.evaluated["test"]
    counts = metrics.confusion_matrix(test.truth, test.outputs.argmax(axis=1))
    assert counts.trace() < counts.sum()
    for label, row in zip(classes.classes, counts, strict=True):
        found = class_page.row(label)
        assert [int(cell.replace("·", "0")) for cell in found[1:]] == row.tolist()


def test_scores_by_class_are_scikit_learns(classes: ReportContent, class_page: Page) -> None:
    test = classes.evaluated["test"]
    expected = metrics.precision_recall_fscore_support(test.truth, test.outputs.argmax(axis=1))
    rows = [row for row in class_page.rows if row and row[0] in classes.classes and len(row) == 6]
    shown = np.array([[float(cell.rstrip("%")) for cell in row[1:5]] for row in rows])
    np.testing.assert_allclose(shown[:, :3], 100 * np.array(expected[:3]).T, atol=0.051)
    assert shown[:, 3].tolist() == expected[3].tolist()
    mean = class_page.row("mean of the classes")
    macro = metrics.f1_score(test.truth, test.outputs.argmax(axis=1), average="macro")
    assert mean[3] == f"{100 * macro:.1f}%"


def test_a_class_that_is_never_predicted_has_no_precision(classes: ReportContent) -> None:
    outputs = np.zeros((4, 3))
    outputs[:, 0] = 1
    evaluated = {"test": Evaluated(np.array([0, 0, 1, 1]), outputs)}
    page = Page(report_html(dataclasses.replace(classes, evaluated=evaluated)))
    assert "Every test row is predicted as 'iris'" in page.text
    assert page.row("mean of the classes")[1:4] == ["25.0%", "50.0%", "33.3%"]
    by_class = [row for row in page.rows if row and row[0] == "rose" and len(row) == 6]
    assert by_class[0][1:4] == ["–", "0.0%", "0.0%"]  # noqa: RUF001
    by_class = [row for row in page.rows if row and row[0] == "tulip" and len(row) == 6]
    assert by_class[0][1:4] == ["–", "–", "–"]  # noqa: RUF001


def test_calibration_error(classes: ReportContent) -> None:
    # 4 rows at 0.9 of which 3 are right, 2 rows at 0.6 of which both are: (4 * 0.15 + 2 * 0.4) / 6
    outputs = np.array([[0.9, 0.1, 0.0]] * 4 + [[0.6, 0.4, 0.0]] * 2)
    evaluated = {"test": Evaluated(np.array([0, 0, 0, 1, 0, 0]), outputs)}
    page = Page(report_html(dataclasses.replace(classes, evaluated=evaluated)))
    assert f"Expected calibration error {(4 * 0.15 + 2 * 0.4) / 6:.4g} (10 bins)" in page.text


def test_errors_of_a_regression(values: ReportContent, value_page: Page) -> None:
    truth, outputs = values.evaluated["test"].truth, values.evaluated["test"].outputs[:, 0]
    rmse = metrics.root_mean_squared_error(truth, outputs)
    mae = metrics.mean_absolute_error(truth, outputs)
    assert value_page.row("root mean squared error")[1] == f"{rmse:.4g}"
    assert value_page.row("mean absolute error")[1] == f"{mae:.4g}"
    assert value_page.row("root mean squared error")[2] == f"{truth.std():.4g}"


def test_the_page_has_all_its_sections(class_page: Page, value_page: Page) -> None:
    line = "fastrelu.training.load_model('runs/one/model.safetensors').predict(rows)"
    for page in (class_page, value_page):
        for text in (
            "Training", "What the predictions hang on", "Data", "Using the model", "This run",
            "a note of the run", line, "instruction set", "schedule.kind",
        ):  # fmt: skip
            assert text in page.text
    assert "Calibration" in class_page.text
    assert "Predicted against true values" in value_page.text


def test_the_page_is_html_and_needs_nothing_else(classes: ReportContent) -> None:
    for content in (classes, content_of(prices(), validation=False)):
        text = report_html(content)
        page = Page(text)
        assert page.unbalanced == [] and page.open == []
        assert "://" not in text
        for tag, attributes in page.elements:
            assert tag not in ("script", "link", "iframe", "object")
            assert tag != "svg" or attributes["aria-label"]
            for name in ("src", "href"):
                assert attributes.get(name, "#").startswith(("#", "data:"))
        names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(names) == len(set(names))
        for used in re.findall(r'url\(#([^)"]+)\)', text):
            assert used in names


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    table = flowers(classes=HOSTILE)
    columns = dict(zip(HOSTILE, table.columns.values(), strict=True))
    table = dataclasses.replace(
        table, source=HOSTILE[0], columns=columns, target_name=HOSTILE[1], notes=HOSTILE
    )
    content = content_of(table)
    content = dataclasses.replace(
        content,
        notes=HOSTILE,
        command=HOSTILE[0],
        model_path=HOSTILE[0],
        config={HOSTILE[1]: HOSTILE[0], "list": HOSTILE},
    )
    harmless = Page(report_html(content_of(flowers())))
    write_report(tmp_path / "report.html", content)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in harmless.elements}
    assert page.unbalanced == [] and page.open == []
    assert not any(name.startswith("on") for _, given in page.elements for name in given)
    assert HOSTILE[0] in page.text and HOSTILE[1] in page.text
    assert "\x00" not in page.text and "\x1b" not in page.text
    # The class's label is drawn as it is, not as a formula.
    assert "$x^2$" in page.text


def test_the_same_content_gives_the_same_bytes(classes: ReportContent, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(tmp_path / name, classes, written="now")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    later = report_html(classes, written="later")
    assert later.replace("later", "now") == (tmp_path / "one").read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_without_matplotlib_there_are_tables(
    classes: ReportContent, values: ReportContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "available", lambda: False)
    monkeypatch.setattr("fastrelu.app.report.overview.available", lambda: False)
    for content in (classes, values):
        text = report_html(content)
        assert "<svg" not in text and "<figure" not in text
        page = Page(text)
        assert "pip install matplotlib" in page.text
        assert ["epoch", "training", "validation"] in page.rows
        assert page.row("30")[1] == f"{content.history[-1]['loss']:.4g}"
    assert ["part, by true value", "rows", "mean true", "mean predicted"] in page.rows


def test_a_hundred_classes_and_their_confusions() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(100), 8)
    labels = np.array([f"kind {k:03d}" for k in truth], object)
    table = Table("many", 800, {"x": truth + rng.normal(size=800)}, target=labels, target_name="k")
    content = content_of(table, epochs=1)
    outputs = np.full((50, 100), 1e-3)
    outputs[:, 7] = 0.9
    content.evaluated = {"test": Evaluated(np.repeat([3, 7], [20, 30]), outputs)}
    page = Page(report_html(content))
    assert ["kind 003", "kind 007", "20", "100.0%"] in page.rows
    assert len(report_html(content)) < 1_000_000
    assert [row[0] for row in page.rows].count("kind 099") == 1  # folded away, of 0 rows


def test_thousands_of_classes_take_no_square_of_memory() -> None:
    content = content_of(prices())
    n = 5000
    content.model.target = Target("classification", list(range(n)), counts=[1] * n)
    outputs = np.zeros((30, n), np.float32)
    outputs[:, 4000] = 1
    content.evaluated = {"test": Evaluated(np.repeat([4000, 17], [10, 20]), outputs)}
    content.sample = None
    text = report_html(content)
    assert ["17", "4000", "20", "100.0%"] in Page(text).rows
    assert len(text) < 1_000_000


def test_few_rows_and_no_validation_part() -> None:
    x = np.arange(12.0)
    table = Table("tiny", 12, {"x": x}, target=3 * x + 0.5, target_name="y")
    content = content_of(table, epochs=2, validation=False)
    page = Page(report_html(content))
    assert "Only 2 test rows" in page.text
    assert page.unbalanced == []
    content.evaluated, content.sample = {}, None
    content.metrics, content.history, content.columns = {}, [], []
    assert Page(report_html(content)).unbalanced == []


def test_predictions_beyond_all_numbers_are_left_out_and_counted(values: ReportContent) -> None:
    truth = np.linspace(1, 2, 200)
    outputs = np.where(np.arange(200) < 3, np.inf, truth)
    for given, count in ((outputs, 3), (np.full(200, np.nan), 200)):
        evaluated = {"test": Evaluated(truth, given)}
        page = Page(report_html(dataclasses.replace(values, evaluated=evaluated)))
        assert f"{count} test rows are left out" in page.text
    assert page.unbalanced == []


def test_a_target_cut_off_at_its_end_is_noticed(values: ReportContent) -> None:
    truth = np.concatenate([np.linspace(1, 2, 95), np.full(5, 2.5)])
    evaluated = {"test": Evaluated(truth, truth + 0.1)}
    page = Page(report_html(dataclasses.replace(values, evaluated=evaluated)))
    assert "5.0% of the rows have the largest target, 2.5" in page.text
    evaluated = {"test": Evaluated(truth[:95], truth[:95])}
    page = Page(report_html(dataclasses.replace(values, evaluated=evaluated)))
    assert "cut off" not in page.text


def test_shuffles_do_not_hang_on_numpys_version() -> None:
    orders = [shuffled(1, c, r, 50).tolist() for c in range(3) for r in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert shuffled(5, 2, 1, 8).tolist() == shuffled(5, 2, 1, 8).tolist()
    # Block 0 of counter (block, column, shuffle, 0): NumPy steps the counter first.
    counter = np.array([2**64 - 1, 1, 1, 0], np.uint64)
    words = np.random.Philox(key=[5, 12], counter=counter).random_raw(8)
    assert shuffled(5, 2, 1, 8).tolist() == np.argsort(words).tolist()


def test_importance_is_the_drop_when_a_raw_column_is_shuffled(classes: ReportContent) -> None:
    found = permutation_importance(classes.model, classes.sample, seed=9, repeats=2)
    assert found is not None
    table, truth = classes.sample, classes.evaluated["test"].truth
    assert found.names == ["a", "b", "colour"] and found.metric == "accuracy"

    def accuracy(t: Table) -> float:
        return float((classes.model.table_outputs(t).argmax(axis=1) == truth).mean())

    assert found.baseline == accuracy(table)
    for k, name in enumerate(found.names):
        for repeat in range(2):
            order = shuffled(9, k, repeat, table.n_rows)
            columns = {**table.columns, name: table.columns[name][order]}
            expected = found.baseline - accuracy(dataclasses.replace(table, columns=columns))
            assert found.drops[k, repeat] == expected
    again = permutation_importance(classes.model, classes.sample, seed=9, repeats=2)
    assert again is not None and np.array_equal(found.drops, again.drops)
    assert found.drops[0].mean() > 0.2
    other = dataclasses.replace(classes, seed=8)
    assert report_html(other, written="") != report_html(classes, written="")


@pytest.mark.parametrize("kind", ["dense", "bytes", "sparse"])
def test_importance_of_a_matrix(kind: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (400, 6)) * (rng.random((400, 6)) > 0.3)
    y = (X[:, 1] > 100).astype(np.float64)
    matrix = X.astype(np.uint8 if kind == "bytes" else np.float64)
    if kind == "sparse":
        matrix = pytest.importorskip("scipy.sparse").csr_array(matrix)
    names = NumberedNames("X[", "]", 6)
    content = content_of(
        Table("m", 400, matrix=matrix, matrix_names=names, target=y, target_name="y")
    )
    before = matrix.copy()
    found = permutation_importance(content.model, content.sample)
    assert found is not None and found.patch_of is None
    assert int(found.drops.mean(axis=1).argmax()) == 1 and found.drops[1].mean() > 0.2
    assert np.abs(np.delete(found.drops.mean(axis=1), 1)).max() < 0.1
    assert abs(before - matrix).sum() == 0


def test_importance_of_an_image_is_by_patches() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (300, 24 * 24)).astype(np.uint8)
    y = (rng.random(300) > 0.5).astype(np.float64)
    X[:, :50] = (255 * y)[:, None]
    table = Table(
        "pictures", 300, matrix=X, matrix_names=NumberedNames("X[", "]", 576), target=y,
        target_name="y",
    )  # fmt: skip
    content = content_of(table)
    found = permutation_importance(content.model, content.sample, repeats=2)
    assert found is not None and found.patch_of is not None
    assert found.patch_of.shape == (24, 24) and len(found.names) == 64
    assert found.patch_of[0, :4].tolist() == [0, 0, 0, 1]
    assert found.drops.mean(axis=1).argmax() < 8
    page = Page(report_html(content))
    assert "patch of pixels" in page.text and "The mean of each pixel" in page.text


def test_too_many_columns_are_no_section() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 201))
    table = Table(
        "wide", 60, matrix=X, matrix_names=NumberedNames("X[", "]", 201), target=X[:, 0] * 1.0,
        target_name="y",
    )  # fmt: skip
    content = content_of(table, epochs=1)
    assert permutation_importance(content.model, content.sample) is None
    assert "hang on" not in report_html(content)
