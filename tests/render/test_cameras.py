import math

import pytest
import torch

from backend.render.cameras import clip, orbit

CORNERS = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


@pytest.mark.parametrize(
    ("azimuth", "elevation", "direction"),
    [(0, 0, (0, -1, 0)), (90, 0, (1, 0, 0)), (180, 0, (0, 1, 0)), (270, 0, (-1, 0, 0)), (0, 90, (0, 0, 1))],
)
def test_cameras_stand_where_the_angles_say(azimuth, elevation, direction):
    cameras = orbit(azimuth, elevation, 40.0, 0.8, radius=1.0)
    torch.testing.assert_close(cameras.position[0] / cameras.distance, torch.tensor(direction, dtype=torch.float32), atol=1e-6, rtol=0)
    # The camera looks down its -Z, at the origin.
    torch.testing.assert_close(cameras.camera_to_world[0, :3, 2], cameras.position[0] / cameras.distance)
    ahead = cameras.view[0] @ torch.tensor([0.0, 0, 0, 1])
    torch.testing.assert_close(ahead[:3], torch.tensor([0, 0, -cameras.distance[0].item()]), atol=1e-5, rtol=0)


def test_up_is_row_zero_and_the_front_has_x_to_the_right():
    points = clip(orbit(0.0, 0.0, 40.0, 0.8, radius=1.0), torch.tensor([[0.0, 0, 0.5], [0.5, 0, 0], [0, -0.5, 0], [0, 0.5, 0]]))[0]
    x, y, depth = (points[:, :3] / points[:, 3:]).unbind(-1)
    assert y[0] < -0.1
    assert x[1] > 0.1
    assert depth[2] < depth[3]


def test_overhead_view_keeps_the_front_at_the_bottom():
    points = clip(orbit(0.0, 90.0, 40.0, 0.8, radius=1.0), torch.tensor([[0.0, -0.5, 0.0], [0.5, 0.0, 0.0]]))[0]
    x, y = (points[:, :2] / points[:, 3:]).unbind(-1)
    assert y[0] > 0.1
    assert x[1] > 0.1


@pytest.mark.parametrize(("fov", "fill", "radius"), [(25.0, 0.65, 1.0), (45.0, 0.95, 0.8), (60.0, 0.5, 1.3)])
def test_the_sphere_fills_the_asked_share(fov, fill, radius):
    cameras = orbit(33.0, 21.0, fov, fill, radius=radius, dtype=torch.float64)
    directions = torch.nn.functional.normalize(
        torch.randn(200_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    points = clip(cameras, radius * directions)[0]
    assert (points[:, :2] / points[:, 3:]).abs().max().item() == pytest.approx(fill, rel=2e-3)


def test_the_whole_domain_lies_between_the_planes():
    cameras = orbit(torch.linspace(0, 350, 36), torch.linspace(-90, 90, 36), 35.0, 0.9, radius=1.0)
    points = clip(cameras, CORNERS)
    assert (points[..., 2].abs() < points[..., 3]).all()


def test_zoom_magnifies_the_target_from_the_same_place():
    target = torch.tensor([[0.3, -0.5, 0.2]])
    near, far = (orbit(30.0, 10.0, 35.0, 0.8, radius=1.0, target=target, zoom=zoom) for zoom in (2.0, 1.0))
    torch.testing.assert_close(near.position, far.position)
    assert near.fov_deg.item() == pytest.approx(2 * math.degrees(math.atan(math.tan(math.radians(17.5)) / 2)))
    middle = clip(near, target)[0, 0]
    torch.testing.assert_close(middle[:2], torch.zeros(2), atol=1e-5, rtol=0)
    aside = target + 0.1 * near.camera_to_world[:, :3, 0]
    assert (clip(near, aside)[0, 0, 0] / clip(far, aside)[0, 0, 0]).item() == pytest.approx(2.0, rel=1e-4)


def test_targets_and_angles_broadcast():
    targets = torch.zeros(3, 3)
    assert orbit(0.0, 0.0, 35.0, 0.8, radius=1.0, target=targets).view.shape == (3, 4, 4)
    assert orbit([0.0, 10.0], 0.0, 35.0, 0.8, radius=1.0).select(slice(1, 2)).azimuth_deg.tolist() == [10.0]
    with pytest.raises(ValueError, match="target"):
        orbit([0.0, 10.0], 0.0, 35.0, 0.8, radius=1.0, target=targets)


def test_a_camera_inside_the_domain_is_refused():
    with pytest.raises(ValueError, match="inside the domain"):
        orbit(0.0, 0.0, 90.0, 0.9, radius=0.2)
    with pytest.raises(ValueError, match="field of view"):
        orbit(0.0, 0.0, 0.0, 0.9, radius=1.0)


def test_clip_is_differentiable():
    cameras = orbit([10.0, 20.0], 5.0, 35.0, 0.8, radius=1.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: clip(cameras, v), CORNERS.double().requires_grad_())
