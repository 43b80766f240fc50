# SPDX-License-Identifier: BSD-3-Clause
"""fastrelu's estimators inside pipelines that skl2onnx converts (extra `onnx`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrelu.exchange.extras import need
from fastrelu.exchange.onnx_graph import Graph
from fastrelu.exchange.onnx_write import add_estimator, classifier_kind, onnx_classes

__all__ = ["register"]


def register() -> None:
    """Tell skl2onnx how MLPClassifier and MLPRegressor are converted; once for a process.

    Raises
    ------
    ImportError
        If skl2onnx is not there.

    Notes
    -----
    ``skl2onnx.to_onnx(pipeline, X)`` then converts a whole pipeline. Parameters are rounded to the
    dtype of its inputs. A regressor of k targets gives (n, k), and one of a single target (n, 1),
    as skl2onnx's other regressors do; losses with a log link are converted, too. Labels of bool are
    0 and 1, as skl2onnx's other classifiers have them. ``target_opset`` may be 9 and more.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> import fastrelu
    >>> from fastrelu.exchange.skl2onnx import register
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> register()
    >>> X = np.array([[0], [1], [2], [3]], "float32")
    >>> mlp = fastrelu.MLPClassifier(solver="lbfgs", random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), mlp).fit(X, [0, 0, 1, 1])
    >>> [o.name for o in skl2onnx.to_onnx(pipeline, X).graph.output]
    ['output_label', 'output_probability']
    """
    skl2onnx = need("skl2onnx", "onnx")
    from fastrelu import MLPClassifier, MLPRegressor

    options = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    skl2onnx.update_registered_converter(
        MLPClassifier, "FastreluMLPClassifier", _classifier_shapes, _convert, options=options
    )
    skl2onnx.update_registered_converter(
        MLPRegressor, "FastreluMLPRegressor", _regressor_shapes, _convert
    )


def _types() -> Any:
    return need("skl2onnx.common.data_types", "onnx")


def _number(operator: Any) -> Any:
    """Return the type of the scores: double for double inputs, else float."""
    types = _types()
    double = isinstance(operator.inputs[0].type, types.DoubleTensorType)
    return types.DoubleTensorType if double else types.FloatTensorType


def _classifier_shapes(operator: Any) -> None:
    types, mlp = _types(), operator.raw_operator
    rows, n_out = operator.inputs[0].get_first_dimension(), mlp.network_.layer_sizes[-1]
    kind, classes = classifier_kind(mlp), onnx_classes(mlp)
    columns = 2 if kind == "binary" else n_out
    labels = types.StringTensorType if classes.dtype == object else types.Int64TensorType
    if classes.dtype.kind not in "iOb":
        labels = {4: types.FloatTensorType, 8: types.DoubleTensorType}[classes.itemsize]
    wide = kind == "multilabel"
    operator.outputs[0].type = types.Int64TensorType([rows, n_out]) if wide else labels([rows])
    operator.outputs[1].type = _number(operator)([rows, columns])


def _regressor_shapes(operator: Any) -> None:
    rows, n_out = (
        operator.inputs[0].get_first_dimension(),
        (operator.raw_operator.network_.layer_sizes[-1]),
    )
    operator.outputs[0].type = _number(operator)([rows, n_out])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    types, mlp = _types(), operator.raw_operator
    double = isinstance(operator.inputs[0].type, types.DoubleTensorType)
    graph = Graph(np.dtype(np.float64 if double else np.float32))
    x = operator.inputs[0].full_name
    cast = not isinstance(operator.inputs[0].type, (types.DoubleTensorType, types.FloatTensorType))
    if cast:
        x = graph.add("Cast", x, name="cast", to=1)
    names = [o.full_name for o in operator.outputs]
    if len(names) == 1:
        add_estimator(graph, mlp, x, ("", names[0]), columns=True)
    else:
        add_estimator(graph, mlp, x, (names[0], names[1]))
    ours = {n.output for n in graph.nodes} - set(names)
    renamed = {name: scope.get_unique_variable_name(f"fastrelu_{name}")
               for name in [*ours, *graph.constants]}  # fmt: skip
    target = container.target_opset_any_domain("")
    for name, value in graph.constants.items():
        if value.dtype == np.bool_:  # labels, which skl2onnx has as numbers or text
            value = value.astype(np.int64)
        helper = need("onnx.helper", "onnx")
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        flat = value.ravel()
        content = [v.encode() for v in flat] if value.dtype == object else flat.tolist()
        container.add_initializer(renamed[name], kind, list(value.shape), content)
    for node in graph.nodes:
        if node.operator == "Squeeze" and target < 13:  # its axes were an attribute then
            node.attributes["axes"] = graph.constants[node.inputs.pop()].tolist()
        container.add_node(
            node.operator,
            [renamed.get(i, i) for i in node.inputs],
            [renamed.get(node.output, node.output)],
            op_version=_version(node.operator, target),
            name=scope.get_unique_operator_name(f"fastrelu_{node.operator}"),
            **node.attributes,
        )


def _version(operator: str, target: int) -> int:
    """Return the version of an operator for a model of the operator set `target`."""
    from fastrelu.exchange.onnx_write import OPSET

    schema = need("onnx.defs", "onnx").get_schema(operator, min(target, OPSET))
    return int(schema.since_version)
