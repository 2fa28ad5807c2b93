"""The fixtures of `recorded_studies`."""

from tests.inference.recorded_studies import module, numbers, photos, root, table, trained, transfer

__all__ = ["module", "numbers", "photos", "root", "table", "trained", "transfer"]
