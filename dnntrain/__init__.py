"""dnntrain: which training technique really helps here, and by how much?"""

__version__ = "0.1.0"
