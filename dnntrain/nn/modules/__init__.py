"""A user's `torch.nn.Module` as a layer: its description, the layer, checks, and what techniques change in it."""
