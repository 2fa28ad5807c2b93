"""Made-up records."""

from __future__ import annotations

from typing import Any

from dnntrain.store.records import RunRecord


def made_record(run: str = "0123456789ab", **fields: Any) -> RunRecord:
    """A record of a run of three epochs, with other values for some of its fields."""
    data = {"name": "made", "train_examples": 80, "test_examples": 20, "task": "classification"}
    content = {
        "run": run,
        "settings": {"seed": 0},
        "data": data | fields.pop("data", {}),
        "environment": {},
        "status": "finished",
        "epochs": 3,
        "best_epoch": 3,
        "results": {"val_acc": 0.5},
        "health": "healthy",
        "seconds": 1.0,
        "history": [{"epoch": epoch, "val_acc": 0.5, "grad_norm": [0.1, 1.0]} for epoch in (1, 2, 3)],
    }
    return RunRecord.model_validate(content | fields)
