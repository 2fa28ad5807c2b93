"""Keras 3, with the backend that KERAS_BACKEND names: `fit` on arrays, as in the lecture."""

from __future__ import annotations

from math import isqrt, prod

import keras
from keras import layers
from peer import KERNEL, EpochDone, Task, load, main

INITIALIZERS = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}


def train(task: Task, epoch_done: EpochDone) -> float | None:
    """Train, and validate after each epoch, then test."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(task.seed)
    arrays = load(task)
    model = resnet(task) if task.kind == "resnet" else network(task, arrays.x.shape[1])
    model.compile(
        optimizer=optimizer_of(task),
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
    if not task.tests:
        return None
    tested = model.evaluate(arrays.x_test, arrays.y_test, task.validation_rows, verbose=0, return_dict=True)
    return float(tested["accuracy"])


def network(task: Task, features: int) -> keras.Sequential:
    """Convolutions, if any, then dense layers, each followed by its activation and by what the arm adds.

    Where the dense layers are the lowest, what the arm adds stands below them, too.
    """
    size, initializer = isqrt(features), INITIALIZERS[task.initializer]
    model = keras.Sequential([keras.Input((features,))])
    below = [layers.Reshape((size, size, 1))] if task.channels else extras(task)
    for channels in task.channels:
        below.append(layers.Conv2D(channels, KERNEL, padding="same", activation=task.activation,
                                   kernel_initializer=initializer))  # fmt: skip
        below.append(layers.MaxPooling2D())
    below += [layers.Flatten()] if task.channels else []
    for layer in below:
        model.add(layer)
    for units in task.hidden:
        model.add(layers.Dense(units, activation=task.activation, kernel_initializer=initializer))
        for layer in extras(task):
            model.add(layer)
    model.add(layers.Dense(task.classes, activation="softmax"))
    return model


def resnet(task: Task) -> keras.Model:
    """The residual network of `torch_resnet`, channels last as Keras has them."""
    inputs = keras.Input((prod(task.shape),))
    images = layers.Permute((2, 3, 1))(layers.Reshape(task.shape)(inputs))
    x = layers.ReLU()(convolution(images, task.width))
    for stage, blocks in enumerate(task.blocks):
        for block in range(blocks):
            channels, stride, shortcut = task.width * 2**stage, 2 if stage and not block else 1, x
            if stride > 1:
                new = channels - x.shape[-1]
                shortcut = keras.ops.pad(x[:, ::stride, ::stride], [[0, 0], [0, 0], [0, 0], [0, new]])
            body = convolution(layers.ReLU()(convolution(x, channels, stride)), channels)
            x = layers.ReLU()(layers.Add()([shortcut, body]))
    outputs = layers.Dense(task.classes, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs)


def convolution(x: keras.KerasTensor, channels: int, stride: int = 1) -> keras.KerasTensor:
    """A convolution, padded by a pixel on each side as torch's, and batch norm as torch has it."""
    padded = layers.ZeroPadding2D(KERNEL // 2)(x)
    convolved = layers.Conv2D(channels, KERNEL, stride, use_bias=False, kernel_initializer="he_normal")(padded)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(convolved)


def extras(task: Task) -> list[layers.Layer]:
    """What an arm adds after a dense layer."""
    if task.batch_norm:
        return [layers.BatchNormalization()]
    return [layers.Dropout(task.dropout)] if task.dropout else []


def optimizer_of(task: Task) -> keras.optimizers.Optimizer:
    """The task's optimizer; Adam's ε is torch's."""
    if task.optimizer == "adam":
        return keras.optimizers.Adam(task.lr, epsilon=1e-8, clipvalue=task.clipvalue)
    return keras.optimizers.SGD(task.lr, clipvalue=task.clipvalue)


if __name__ == "__main__":
    main(train)
