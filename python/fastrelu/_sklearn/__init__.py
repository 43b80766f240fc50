# SPDX-License-Identifier: BSD-3-Clause
"""Where `fastrelu.sklearn` was in version 0.1.0; pickled estimators name it."""
