# SPDX-License-Identifier: BSD-3-Clause
"""A model of the command as an MLflow model: log a run's folder, load and serve it as any other.

    python mlflow_model.py RUN OUT

writes the MLflow model of the run RUN into the folder OUT; then
`mlflow.pyfunc.load_model(OUT).predict(frame)`, or `mlflow models serve -m OUT`.
"""

import sys
from typing import Any

import mlflow.pyfunc


class Predictor(mlflow.pyfunc.PythonModel):
    """The model file of a run, which takes raw columns."""

    def load_context(self, context: Any) -> None:
        """Load the model file that was logged."""
        from fastrelu.training import load_model

        self.model = load_model(context.artifacts["model"])

    def predict(self, context, model_input, params=None):  # MLflow infers a schema from hints
        """Return a prediction for each row of a frame."""
        return self.model.predict(model_input)


def save(run: str, out: str) -> None:
    """Write the MLflow model of a run into a folder."""
    mlflow.pyfunc.save_model(
        out, python_model=Predictor(), artifacts={"model": f"{run}/model.safetensors"},
        pip_requirements=["fastrelu"],
    )  # fmt: skip


if __name__ == "__main__":
    save(*sys.argv[1:])
