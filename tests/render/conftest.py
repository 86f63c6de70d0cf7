import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Two busy-waiting threads on a machine that has other work take several times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
