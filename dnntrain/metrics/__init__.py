"""Metrics: how good predictions are. Each metric is one class, and everything that shows or compares it asks the class.

A metric is measured on several parts of the data. A column of results.csv, and what `--metric` takes, is the part with
the metric's name: `val_acc`, `test_rmse`, `mc_test_loss`.

Declaring a subclass of `Metric` with a `name` registers it. It has to be declared where it is asked for only: by a
report, or by a run that stops early or selects its epoch by it. One that is `recorded` is measured in every run.
Workers import the modules that declare what they measure.
"""

from dnntrain.metrics.base import (
    METRICS,
    PERCENT,
    TRAIN_LOSS,
    VAL_LOSS,
    ExampleMean,
    MeanLoss,
    Metric,
    RowMean,
    TargetInfo,
)
from dnntrain.metrics.classification import (
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    TopFiveAccuracy,
    WeightedF1,
    confusion_matrix,
    f1_scores,
    precision_and_recall,
    predicted_classes,
)
from dnntrain.metrics.columns import (
    ALIASES,
    DEFAULT_METRIC,
    HELD_OUT,
    PARTS,
    ColumnMetric,
    TableColumn,
    column_named,
    default_metric,
    metric_columns,
    metric_of,
    metrics_of,
    recorded_columns,
    recorded_metrics,
    score_of,
    split_column,
    study_score,
    task_of,
    validation_column,
)
from dnntrain.metrics.modules import import_metrics, modules_of
from dnntrain.metrics.probabilities import AreaUnderCurve, BrierScore, ExpectedCalibrationError
from dnntrain.metrics.regression import R2, MeanAbsoluteError, MeanAbsolutePercentageError, RootMeanSquaredError
from dnntrain.utils.plugins import load_plugins

__all__ = [
    "ALIASES",
    "DEFAULT_METRIC",
    "HELD_OUT",
    "METRICS",
    "PARTS",
    "PERCENT",
    "R2",
    "TRAIN_LOSS",
    "VAL_LOSS",
    "Accuracy",
    "AreaUnderCurve",
    "BalancedAccuracy",
    "BrierScore",
    "ColumnMetric",
    "ExampleMean",
    "ExpectedCalibrationError",
    "MacroF1",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanLoss",
    "Metric",
    "RootMeanSquaredError",
    "RowMean",
    "TableColumn",
    "TargetInfo",
    "TopFiveAccuracy",
    "WeightedF1",
    "column_named",
    "confusion_matrix",
    "default_metric",
    "f1_scores",
    "import_metrics",
    "metric_columns",
    "metric_of",
    "metrics_of",
    "modules_of",
    "precision_and_recall",
    "predicted_classes",
    "recorded_columns",
    "recorded_metrics",
    "score_of",
    "split_column",
    "study_score",
    "task_of",
    "validation_column",
]

load_plugins("dnntrain.metrics", METRICS)
