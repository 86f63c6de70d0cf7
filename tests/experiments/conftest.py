"""Tensors here are tiny: more threads only wait for each other."""

import pytest
import torch

from tests.priors.tiny import write_tiny_folder

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return write_tiny_folder(tmp_path_factory.mktemp("prior"))
