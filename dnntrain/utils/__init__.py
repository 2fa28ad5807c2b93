"""Small helpers without knowledge of training."""
