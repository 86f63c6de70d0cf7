import math

import torch

from backend.render.cameras import clip, orbit
from backend.render.screen import to_screen
from backend.render.volume import rays, render_volume, sample_weights

SIZE = (9, 9)


def looking(azimuth=(0.0,), elevation=0.0):
    return orbit(list(azimuth), elevation, 40.0, 0.8, radius=1.0, dtype=torch.float64)


def test_rays_pass_through_the_pixels_that_the_rasteriser_puts_their_points_in():
    cameras = looking((20.0, 130.0), 35.0)
    found = rays(cameras, SIZE, 1.0)
    points = found.origin + (0.5 * (found.near + found.far))[:, None] * found.direction
    for view in range(2):
        own = found.pixel // 81 == view
        x, y, _, _ = to_screen(clip(cameras.select(slice(view, view + 1)), points[own])[0], SIZE).unbind(-1)
        torch.testing.assert_close(x, (found.pixel[own] % 9).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(y, (found.pixel[own] % 81 // 9).double(), atol=1e-9, rtol=0)
    for length in (found.near, found.far):
        torch.testing.assert_close((found.origin + length[:, None] * found.direction).norm(dim=1), torch.ones_like(length))


def test_a_ball_of_even_density_lets_through_what_beer_and_lambert_say():
    """exp(-density x chord), exactly: samples stand for equal lengths of the chord; and the emission fills the rest."""
    density, colour = 1.7, torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    cameras = looking()
    found = rays(cameras, SIZE, 0.8)

    def even(points, view):
        return torch.full(points.shape[:2], density, dtype=torch.float64), colour.expand(*points.shape[:2], 3)

    background = torch.tensor([[1.0, 0.0, 0.25]], dtype=torch.float64)
    seen = render_volume(even, cameras, SIZE, background, samples=7, radius=0.8)
    through = torch.exp(-density * (found.far - found.near))
    torch.testing.assert_close(seen.opacity, 1 - through)
    expected = background.expand(81, 3).clone()
    expected[found.pixel] = (1 - through)[:, None] * colour + through[:, None] * background
    torch.testing.assert_close(seen.picture.view(81, 3), expected)
    assert len(found.pixel) < 81  # the corners miss the ball and show the background alone


def test_a_slab_before_another_hides_it_by_its_own_transmittance():
    """Light of the far slab is what the near one lets through: weights of two slabs, wherever samples fall inside them."""
    step = torch.tensor([0.1], dtype=torch.float64)
    density = torch.tensor([[0, 0, 3, 3, 0, 5, 0]], dtype=torch.float64)
    weights = sample_weights(density, step)
    near = 1 - math.exp(-0.6)
    assert math.isclose(weights[0, 2:4].sum(), near, rel_tol=1e-12)
    assert math.isclose(weights[0, 5], (1 - near) * (1 - math.exp(-0.5)), rel_tol=1e-12)
    assert math.isclose(weights.sum(), 1 - math.exp(-1.1), rel_tol=1e-12)


def test_shifted_samples_converge_to_the_integral():
    """Density falling linearly from the middle: optical depth along a diameter is its integral."""
    cameras = looking()

    def cone(points, view):
        return 2 * (1 - points.norm(dim=-1)), points.new_zeros(*points.shape[:2], 1)

    shift = torch.rand(81, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = render_volume(cone, cameras, SIZE, torch.ones(1, 1, dtype=torch.float64), samples=400, shift=shift)
    assert math.isclose(seen.picture[0, 4, 4, 0], math.exp(-2.0), rel_tol=1e-2)  # 2 x the area of a triangle of base 2 and height 1


def test_gradients_match_finite_differences():
    cameras = looking((10.0, 200.0))
    torch.manual_seed(0)
    amplitude, tint = torch.rand(4, dtype=torch.float64) + 0.5, torch.rand(3, dtype=torch.float64)

    def wave(amplitude, tint):
        def emission(points, view):
            inner = torch.sin(points @ amplitude[:3] * 2) + 1.5
            return amplitude[3] * inner, torch.sigmoid(points + tint)

        background = torch.full((2, 3), 0.3, dtype=torch.float64)
        return render_volume(emission, cameras, (3, 3), background, samples=6).picture

    assert torch.autograd.gradcheck(wave, (amplitude.requires_grad_(), tint.requires_grad_()))


def test_rays_beside_the_ball_cost_nothing_and_show_the_background():
    cameras = looking()

    def nothing(points, view):
        return points.new_zeros(points.shape[:2]), points.new_zeros(*points.shape[:2], 2)

    background = torch.rand(1, 2, dtype=torch.float64)
    seen = render_volume(nothing, cameras, SIZE, background, radius=1e-9)
    torch.testing.assert_close(seen.picture, background.expand(81, 2).view(1, 9, 9, 2))
