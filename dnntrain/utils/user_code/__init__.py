"""The user's own code: references to it, its sources and identity, and how it is imported."""
