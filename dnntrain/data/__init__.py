"""Data sets: sources, loading, and the split into training and validation. Needs NumPy, not torch."""

from dnntrain.data.dataset import Dataset, DatasetInfo
from dnntrain.data.registry import KINDS, SOURCES, find_source, load_dataset, options, source_class
from dnntrain.data.source import DataLocation, DataSource, OwnSource, default_data_dir

__all__ = [
    "KINDS",
    "SOURCES",
    "DataLocation",
    "DataSource",
    "Dataset",
    "DatasetInfo",
    "OwnSource",
    "default_data_dir",
    "find_source",
    "load_dataset",
    "options",
    "source_class",
]
