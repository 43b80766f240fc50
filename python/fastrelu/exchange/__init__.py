# SPDX-License-Identifier: BSD-3-Clause
"""Networks that leave for other programs, and come back: a module for each format.

The modules take networks as arguments and import what a format needs when it is first used;
`Network` has their functions as methods.
"""
