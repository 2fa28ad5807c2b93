"""Keras 3, with the backend that KERAS_BACKEND names: `fit` on arrays, as in the lecture."""

from __future__ import annotations

import keras
from keras import layers
from peer import CLASSES, EpochDone, Task, load, main

INITIALIZERS = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}


def train(task: Task, epoch_done: EpochDone) -> None:
    """Train, and validate after each epoch."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(task.seed)
    arrays = load(task)
    model = network(task, arrays.x.shape[1])
    model.compile(
        optimizer=keras.optimizers.SGD(task.lr, clipvalue=1.0 if task.arm == "dropout" else None),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=task.steps_per_call,
    )
    model.fit(
        arrays.x,
        arrays.y,
        batch_size=task.batch_size,
        epochs=task.epochs,
        validation_data=(arrays.x_val, arrays.y_val),
        validation_batch_size=task.validation_rows,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: epoch_done(logs["val_accuracy"]))],
        verbose=0,
    )


def network(task: Task, features: int) -> keras.Sequential:
    """Dense layers, each followed by what the arm adds, which also goes before the first."""
    model = keras.Sequential([keras.Input((features,)), *extras(task)])
    for units in task.hidden:
        model.add(layers.Dense(units, activation=task.activation, kernel_initializer=INITIALIZERS[task.initializer]))
        for layer in extras(task):
            model.add(layer)
    model.add(layers.Dense(CLASSES, activation="softmax"))
    return model


def extras(task: Task) -> list[layers.Layer]:
    """What an arm adds after a layer."""
    if task.arm == "batch-norm":
        return [layers.BatchNormalization()]
    return [layers.Dropout(0.2)] if task.arm == "dropout" else []


if __name__ == "__main__":
    main(train)
