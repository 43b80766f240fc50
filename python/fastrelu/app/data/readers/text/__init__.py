# SPDX-License-Identifier: BSD-3-Clause
"""Text files of fields: how they are laid out is found out, then pyarrow reads them as told.

`sniff` finds the dialect from the first rows, `blocks` cuts a file at the ends of records, `parse`
makes columns of texts of a block, `gather` decides from all rows what each column is.
"""
