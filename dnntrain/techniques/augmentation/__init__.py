"""Augmentation: training examples that change at random from step to step. The order of import is that of action."""

from dnntrain.techniques.augmentation import images as images
from dnntrain.techniques.augmentation import mixing as mixing
from dnntrain.techniques.augmentation import noise as noise
from dnntrain.techniques.augmentation import test_time as test_time
