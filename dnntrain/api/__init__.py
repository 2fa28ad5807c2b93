"""The Python API: `train`, `ablate`, `transfer`, `lr_find`, `report`, `load`, `compare`, `predict`,
`to_torch`, `track`.

It is provisional until version 1.0.

    import dnntrain as dt

    study = dt.ablate(arms={"elu": {"act": "elu"}, "bn": {"bn": True}}, hidden="20x100", epochs=5)
    print(study.summary)

Runs are trained in worker processes and recorded on disk, where later calls find them. Progress goes to stderr, and
only in a terminal or a notebook. Nothing else is printed, and the caller's environment and signal handlers stay as
they are. Errors are `InputError` (a value is wrong) or `DnntrainError` (something failed while running).
"""
