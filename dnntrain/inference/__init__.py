"""Recorded runs as models: predictions for new data, and exports to other formats."""
