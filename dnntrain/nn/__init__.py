"""Tensors with the leading axis P of members. Knows no spec."""
