"""A package of plug-ins for the tests."""
