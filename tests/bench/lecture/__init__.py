"""Judges the claims of the lecture "Training Deep Neural Networks" by studies of this tool."""
