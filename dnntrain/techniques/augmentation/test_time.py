"""Test-time augmentation."""

from __future__ import annotations

from dnntrain.techniques.augmentation.base import Augmentation, image_fault
from dnntrain.techniques.base import RunExtent


class TestTimeFlips(Augmentation):
    """Flips at test time."""

    __test__ = False  # for pytest

    name = "tta"
    summary = "Averages the predictions for each validation and test image and its mirror image."
    paper = "Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks, section 4.1"
    formula = "p(y|x) = ½ (f(x) + f(mirrored x)); for regression the mean of both outputs"
    advice = "A little accuracy for twice the cost of prediction; with flip in training. Training itself is unchanged."
    not_exported = (
        "Test-time augmentation is not part of it; the recorded metrics are those of predictions averaged over each "
        "image and its mirror image."
    )

    def fault(self, run: RunExtent) -> str | None:
        return image_fault(self.name, run) or super().fault(run)
