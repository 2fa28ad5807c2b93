"""What a network is trained to make small, each loss with its value and its gradient."""

from dnntrain.techniques.losses import classification as classification
from dnntrain.techniques.losses import regression as regression
from dnntrain.techniques.losses.plain import BinaryCrossEntropy as BinaryCrossEntropy
from dnntrain.techniques.losses.plain import CategoricalCrossEntropy as CategoricalCrossEntropy
from dnntrain.techniques.losses.plain import Loss as Loss
from dnntrain.techniques.losses.plain import SquaredError as SquaredError
from dnntrain.techniques.losses.plain import choose_loss as choose_loss
from dnntrain.techniques.losses.training import TrainingLoss as TrainingLoss
