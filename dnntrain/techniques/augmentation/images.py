"""Augmentation that changes each image on its own: flip, crop, color, cutout, random erasing."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.random import generator
from dnntrain.techniques.augmentation.base import EpochOrder, ImageAugmentation, box_mask
from dnntrain.techniques.base import RunExtent
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

RGB_TO_GRAY = (0.2989, 0.587, 0.114)
"""Weights of red, green, and blue in the gray level (ITU-R BT.601), as in torchvision."""
ATTEMPTS = 10
"""How often random erasing draws a box until one fits, as in torchvision and timm."""


class Flip(ImageAugmentation):
    """Horizontal flips."""

    name = "flip"
    primary = "kind"
    summary = "Mirrors training images left to right: a random half of them, or each in every second epoch."
    paper = "Jordan 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, arXiv:2404.00498 (alternating)"
    formula = "x ← mirrored x with probability ½; alternating: a random half in epoch 1, then the other half in turn"
    advice = "Wherever a mirrored image has the same label: objects yes, digits and text no. Try alternating."
    kind: Literal["random", "alternating"] = hyperparameter("random", "random or alternating")

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        if self.kind == "random":
            flipped = order.generator(self.name).random(len(order.examples)) < 0.5
        else:
            # an example is flipped in the first epoch or not, and from then on in every second one
            first = generator(order.seed, self.name).random(order.examples.max() + 1) < 0.5
            flipped = first[order.examples] ^ bool(order.epoch % 2)
        return flipped[:, None]

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        return torch.where(draws[..., None, None], images.flip(-1), images)


class Crop(ImageAugmentation):
    """Random crops of padded images."""

    name = "crop"
    primary = "padding"
    summary = "Pads training images on all sides and cuts out their size at a random place: a random shift."
    paper = "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2"
    formula = "x[i, j] ← padded x[i + u, j + v], u and v uniform in 0 … 2·padding"
    advice = "The standard for CIFAR-10 with 4 pixels of 32; reflect avoids black borders."
    padding: int = hyperparameter(4, "pixels on each side, the largest shift", ge=1, le=1024, per_member=True)
    mode: Literal["zero", "reflect", "edge"] = hyperparameter("zero", "what is padded with: zero, reflect, or edge")

    def fault(self, run: RunExtent) -> str | None:
        if fault := super().fault(run):
            return fault
        height, width = run.shape[-2:]
        if self.padding < min(height, width):
            return None
        return f"crop {self.padding}: must be smaller than the images, which have {height} × {width} pixels"

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        shifts = order.generator(self.name).integers(-self.padding, self.padding + 1, (len(order.examples), 2))
        return shifts.astype(np.int32)

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        # for each pixel of the result, where it comes from: (P, rows, height) and (P, rows, width)
        y, x = (
            shift.unsqueeze(-1) + torch.arange(size, device=images.device)
            for shift, size in zip(draws.long().unbind(-1), (height, width), strict=True)
        )
        inside = ((y >= 0) & (y < height)).unsqueeze(-1) & ((x >= 0) & (x < width)).unsqueeze(-2)
        if self.mode == "reflect":
            y, x = (last - (last - at.abs()).abs() for at, last in ((y, height - 1), (x, width - 1)))
        y, x = y.clamp_(0, height - 1), x.clamp_(0, width - 1)
        source = (y.unsqueeze(-1) * width + x.unsqueeze(-2)).flatten(2).unsqueeze(2)
        flat = images.flatten(3)
        shifted = flat.gather(3, source.expand(flat.shape)).view(images.shape)
        return shifted.mul_(inside.unsqueeze(2)) if self.mode == "zero" else shifted


class ColorJitter(ImageAugmentation):
    """Random brightness, contrast, and saturation."""

    name = "color_jitter"
    summary = "Changes brightness, contrast, and saturation of each training image at random."
    paper = "Howard 2013, Some Improvements on Deep CNN Based Image Classification, arXiv:1312.5402; torchvision"
    formula = "x ← clip(f·x), then f·x + (1 - f)·mean gray, then f·x + (1 - f)·gray; each f uniform in 1 ± strength"
    advice = "For photographs in varying light; it harms where color or brightness tells the classes apart."
    brightness: float = hyperparameter(0.2, "strength of changes in brightness", ge=0, le=1, per_member=True)
    contrast: float = hyperparameter(0.2, "strength of changes in contrast", ge=0, le=1, per_member=True)
    saturation: float = hyperparameter(0.2, "strength of changes in saturation", ge=0, le=1, per_member=True)

    def idle(self, run: RunExtent) -> str | None:
        is_gray, default = len(run.shape) == 2, type(self).model_fields["saturation"].default
        if not self.brightness and not self.contrast and (is_gray or not self.saturation):
            return f"color_jitter: changes no {'gray ' if is_gray else ''}image with strengths of 0"
        if is_gray and self.saturation != default:
            return f"color_jitter_saturation {self.saturation:g} has no effect on gray images"
        return None

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        strengths = np.array([self.brightness, self.contrast, self.saturation])
        signed = order.generator(self.name).uniform(-1, 1, (len(order.examples), 3))
        return (1 + strengths * signed).astype(np.float32)

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        brightness, contrast, saturation = draws[..., None, None, None].unbind(2)
        images = images.to(torch.float32).mul(brightness).clamp_(0, 255)
        mean = gray(images).flatten(2).mean(dim=2)[..., None, None, None]
        images = images.mul_(contrast).add_(mean * (1 - contrast)).clamp_(0, 255)
        if images.shape[2] == 1:
            return images
        levels = gray(images) * (1 - saturation)
        return images.mul_(saturation).add_(levels).clamp_(0, 255)


def gray(images: torch.Tensor) -> torch.Tensor:
    """The gray levels of images (P, rows, C, H, W), (P, rows, 1, H, W)."""
    if images.shape[2] == 1:
        return images
    red, green, blue = (images[:, :, channel : channel + 1] * weight for channel, weight in enumerate(RGB_TO_GRAY))
    return red.add_(green).add_(blue)


class Cutout(ImageAugmentation):
    """Cutout."""

    name = "cutout"
    primary = "size"
    summary = "Blackens a square at a random place of each training image; part of it may lie outside."
    paper = "DeVries & Taylor 2017, Improved Regularization of CNNs with Cutout, arXiv:1708.04552"
    formula = "x[i, j] ← 0 for the pixels of a square whose center is uniform over the image"
    advice = "The paper takes 16 of 32 pixels for CIFAR-10 and 8 for CIFAR-100, with flip and crop."
    size: int = hyperparameter(8, "side of the square in pixels", ge=1, le=1024, per_member=True)

    def fault(self, run: RunExtent) -> str | None:
        if fault := super().fault(run):
            return fault
        height, width = run.shape[-2:]
        if self.size < max(height, width):
            return None
        return f"cutout {self.size}: must be smaller than the images, which have {height} × {width} pixels"

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        center = order.generator(self.name).integers(0, shape[-2:], (len(order.examples), 2))
        return centered_boxes(center, np.full_like(center, self.size))

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        return erase(images, draws)


class RandomErasing(ImageAugmentation):
    """Random erasing."""

    name = "random_erasing"
    primary = "probability"
    summary = "Blackens a rectangle of random place, size, and shape in some of the training images."
    paper = "Zhong et al. 2020, Random Erasing Data Augmentation, arXiv:1708.04896; torchvision, timm"
    formula = "x[i, j] ← 0 in a box of min_area … max_area of the image, its height : width log-uniform in 0.3 … 1/0.3"
    advice = "An alternative to cutout; give one of the two."
    probability: float = hyperparameter(0.5, "share of the images that it changes", ge=0, le=1, per_member=True)
    min_area: float = hyperparameter(0.02, "smallest share of the image's area", gt=0, le=1, per_member=True)
    max_area: float = hyperparameter(0.33, "largest share of the image's area", gt=0, le=1, per_member=True)

    def fault(self, run: RunExtent) -> str | None:
        if self.min_area > self.max_area:
            return f"random_erasing_min_area {self.min_area:g}: more than random_erasing_max_area {self.max_area:g}"
        return super().fault(run)

    def idle(self, run: RunExtent) -> str | None:
        height, width = run.shape[-2:]
        if not self.probability:
            return "random_erasing 0: changes no image"
        # sides are rounded, and are whole pixels smaller than the image
        if self.min_area * height * width > (height - 0.5) * (width - 0.5):
            return f"random_erasing_min_area {self.min_area:g}: no such box fits into {height} × {width} pixels"
        if self.max_area * height * width < 0.25:
            return f"random_erasing_max_area {self.max_area:g}: such boxes have no pixel of {height} × {width}"
        return None

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        rng, size = order.generator(self.name), np.array(shape[-2:])
        boxes = np.zeros((len(order.examples), 4), np.int32)
        left = np.flatnonzero(rng.random(len(boxes)) < self.probability)
        for _ in range(ATTEMPTS):
            area = rng.uniform(self.min_area, self.max_area, len(left)) * size.prod()
            ratio = np.exp(rng.uniform(math.log(0.3), -math.log(0.3), len(left)))
            sides = np.rint(np.sqrt(np.stack([area * ratio, area / ratio], axis=1)))
            fits = (sides < size).all(axis=1)
            sides = sides[fits]
            start = np.floor(rng.random(sides.shape) * (size - sides + 1))
            boxes[left[fits]] = np.stack([start, start + sides], axis=2).reshape(-1, 4)
            left = left[~fits]
        return boxes

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        return erase(images, draws)


def centered_boxes(centers: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Boxes (n, 4), as top, bottom, left, right, from their centers and sides, each (n, 2) in pixels."""
    start = centers - sides // 2
    return np.stack([start, start + sides], axis=2).reshape(-1, 4).astype(np.int32)


def erase(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The images (P, rows, C, H, W), black inside the boxes (P, rows, 4)."""
    inside = box_mask(boxes, *images.shape[-2:])
    return images * inside.logical_not_().unsqueeze(2)
