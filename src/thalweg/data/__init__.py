"""Data doors: files, arrays and frames become one table; targets are encoded; rows are split."""

from thalweg.data.builtin import BUILTIN_NAMES
from thalweg.data.check import check_weights
from thalweg.data.sample import split_rows
from thalweg.data.source import load_table
from thalweg.data.table import Table
from thalweg.data.target import encode_target

__all__ = ["BUILTIN_NAMES", "Table", "check_weights", "encode_target", "load_table", "split_rows"]
