# SPDX-License-Identifier: BSD-3-Clause
"""The exact mathematics of piecewise-linear functions and of ReLU networks.

Every module here takes a network as an argument and imports none of the library above the core;
`Network`'s methods import what they need when they are called.
"""
