import logging
import subprocess
import sys

import pytest
import torch

from backend.errors import UserError
from backend.render import rasterizer
from backend.render.contract import Availability
from backend.render.rasterizer import NAMES, TorchRasterizer, WarpRasterizer, availabilities, choose_rasterizer


def test_the_package_imports_without_warp():
    code = (
        "import sys; sys.modules['warp'] = None\n"
        "import backend.render, backend.render.rasterizer as r, backend.render.sheet, backend.appearance.bake\n"
        "assert not r.WarpRasterizer().available('cpu').ok\n"
        "print(r.choose_rasterizer('auto', 'cpu').name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "torch", done.stderr
    assert "slow torch rasteriser" in done.stderr


def test_every_name_is_known_to_doctor_with_a_reason_where_it_is_not_ok():
    found = availabilities("cpu")
    assert set(found) == set(NAMES) - {"auto"}
    assert found["torch"].ok
    assert all(entry.ok or entry.reason.endswith(".") for entry in found.values())


@pytest.mark.parametrize("name", ["nvdiffrast", "kaolin"])
def test_a_named_library_is_never_silently_replaced(name):
    with pytest.raises(UserError, match=f"'{name}' cannot run here"):
        choose_rasterizer(name, "cpu")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="auto, warp, torch"):
        choose_rasterizer("optix", "cpu")


def test_auto_falls_back_with_a_warning_and_a_named_warp_does_not(monkeypatch, caplog):
    monkeypatch.setattr(WarpRasterizer, "available", lambda self, device: Availability(False, "Warp is away."))
    with caplog.at_level(logging.WARNING, logger=rasterizer.__name__):
        assert isinstance(choose_rasterizer("auto", "cpu"), TorchRasterizer)
    assert "Warp is away." in caplog.text
    with pytest.raises(UserError, match="Warp is away"):
        choose_rasterizer("warp", "cpu")


def test_warp_refuses_devices_it_does_not_know():
    found = WarpRasterizer().available(torch.device("meta"))
    assert not found.ok
    assert "meta" in found.reason
