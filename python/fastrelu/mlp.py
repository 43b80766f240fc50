# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's MLPClassifier, MLPRegressor and searches on fastrelu's core (extra `sklearn`)."""

from fastrelu.sklearn.classifier import MLPClassifier
from fastrelu.sklearn.regressor import MLPRegressor
from fastrelu.sklearn.search import PopulationSearchCV

__all__ = ["MLPClassifier", "MLPRegressor", "PopulationSearchCV"]
# Their public place, for pickles and documentation.
for _class in (MLPClassifier, MLPRegressor, PopulationSearchCV):
    _class.__module__ = __name__
