"""Normalization of activations: over the mini-batch, or within each example."""

from dnntrain.techniques.normalization.base import Normalization as Normalization
from dnntrain.techniques.normalization.base import NormSpec as NormSpec
from dnntrain.techniques.normalization.batch_norm import BatchNorm as BatchNorm
from dnntrain.techniques.normalization.batch_norm import BatchNormLayer as BatchNormLayer
from dnntrain.techniques.normalization.batch_norm import BatchNormSpec as BatchNormSpec
from dnntrain.techniques.normalization.per_example import ExampleNorm as ExampleNorm
from dnntrain.techniques.normalization.per_example import ExampleNormLayer as ExampleNormLayer
