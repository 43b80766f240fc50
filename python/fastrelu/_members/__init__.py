# SPDX-License-Identifier: BSD-3-Clause
"""The members of a population: what each is made of, its rows, its course, its place in files."""
