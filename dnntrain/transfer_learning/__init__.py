"""Pretrained backbones, cached features, and the stages of a transfer."""
