"""The version of this package, where every layer may import it."""

__version__ = "0.2.0"
