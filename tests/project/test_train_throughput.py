"""The training benchmark measures both sides on the same images."""

from collections import Counter

import pytest
import torch

from benchmarks.training.train_throughput import (
    TheirTraining,
    load_faces,
    make_spec,
    rate,
    write_faces,
)
from fer_bench.benchmark.initial_weights import request_for
from fer_bench.models.build import build_model


def test_an_epoch_of_theirs_is_every_image_of_ours_once_in_the_networks_shape(tmp_path):
    data, spec = load_faces("synthetic", 128), make_spec("compact_resnet@32")
    write_faces(data, tmp_path)
    model = build_model(request_for(spec, data.emotions))
    theirs = TheirTraining(model, spec, tmp_path, "cpu", workers=0)
    batches = list(theirs.loader)
    assert len(data.indices("train")) == 128
    assert [tuple(images.shape) for images, _ in batches] == [(64, 1, 32, 32)] * 2
    labels = torch.cat([labels for _, labels in batches]).tolist()
    classes = theirs.loader.dataset.classes
    assert Counter(classes[label] for label in labels) == data.class_counts("train")


def test_a_model_may_be_named_with_its_input_size():
    assert make_spec("resnet18@48").model_options == {"input_size": 48}
    assert make_spec("resnet18").model_options == {}


@pytest.mark.parametrize("least, epochs", [(0, 1), (0.5, 1), (0.75, 2), (1.25, 3)])
def test_the_rate_is_that_of_as_many_whole_epochs_as_fill_the_time(least, epochs):
    taken = iter([0.5] * epochs)  # one epoch more than that would raise
    assert rate(lambda: next(taken), 100, least) == 200
    assert next(taken, None) is None
