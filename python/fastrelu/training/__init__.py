# SPDX-License-Identifier: BSD-3-Clause
"""From a data file to a trained and tested model: readers, preprocessing, the run, the command."""


class DataError(Exception):
    """The data cannot be read or used; the text is one line that says where and why."""
