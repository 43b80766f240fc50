# SPDX-License-Identifier: BSD-3-Clause
"""What `fastrelu.mlp` is made of. Private: import the estimators from `fastrelu`."""
