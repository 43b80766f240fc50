# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's MLPClassifier and MLPRegressor on fastrelu's core (extra `sklearn`)."""

from fastrelu.sklearn.classifier import MLPClassifier
from fastrelu.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
# Their public place, for pickles and documentation.
MLPClassifier.__module__ = MLPRegressor.__module__ = __name__
