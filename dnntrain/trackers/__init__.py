"""Experiment trackers: TensorBoard, Weights & Biases, and MLflow."""
