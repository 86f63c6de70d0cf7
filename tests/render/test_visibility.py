import pytest
import torch

from backend.geometry.edges import edge_table
from backend.render import torch_visibility
from backend.render.cameras import clip
from backend.render.pipeline import faces_of
from backend.render.rasterizer import TorchRasterizer, WarpRasterizer
from backend.render.screen import NO_KEY, discrete_screen

from .shapes import SHAPES, flat_clip, rig, sphere

BACKENDS = [pytest.param(WarpRasterizer(), id="warp"), pytest.param(TorchRasterizer(), id="torch")]


def noise_mesh(seed: int = 0, faces: int = 400):
    """Faces of every size and orientation, some crossing, some behind the camera."""
    generator = torch.Generator().manual_seed(seed)
    centre = 2.0 * torch.rand(faces, 1, 3, generator=generator) - 1
    vertices = (centre + 0.5 * torch.rand(faces, 1, 1, generator=generator) * torch.randn(faces, 3, 3, generator=generator)).view(-1, 3)
    return vertices, torch.arange(3 * faces).view(-1, 3)


@pytest.mark.parametrize("shape", [*SHAPES, "noise"])
@pytest.mark.parametrize("size", [(64, 64), (97, 130)])
@pytest.mark.parametrize("cull", [False, True])
def test_twins_see_the_same_faces(shape, size, cull):
    from backend.render import warp_visibility

    vertices, faces = noise_mesh() if shape == "noise" else SHAPES[shape]()[:2]
    screen = discrete_screen(clip(rig(4), vertices), size)
    mine, oracle = (faces_of(kernels.nearest_faces(screen, faces, size, cull)) for kernels in (warp_visibility, torch_visibility))
    assert torch.equal(mine >= 0, oracle >= 0)
    assert (mine != oracle).float().mean() < 1e-3
    assert (mine >= 0).any()


@pytest.mark.parametrize("shape", [*SHAPES, "noise"])
def test_twins_find_the_same_silhouette_crossings(shape):
    from backend.render import warp_visibility

    vertices, faces = noise_mesh() if shape == "noise" else SHAPES[shape]()[:2]
    size = (96, 80)
    points = clip(rig(3), vertices)
    screen, edges = discrete_screen(points, size), edge_table(faces, len(vertices))
    depth = torch.where(torch_visibility.nearest_faces(screen, faces, size, False) == NO_KEY, torch.inf, 0.9)
    mine, oracle = (kernels.silhouette_crossings(screen, edges, depth) for kernels in (warp_visibility, torch_visibility))
    assert (mine != oracle).float().mean() < 1e-4
    assert (mine != NO_KEY).sum() > 100


@pytest.mark.parametrize("backend", BACKENDS)
def test_orientation_the_nearer_triangle_in_the_upper_left_wins(backend):
    # Face 0 is the farther one and covers the left half; face 1 is nearer and sits in the upper left corner.
    points = flat_clip([(-1, -1, 0.5), (0, -1, 0.5), (-1, 3, 0.5), (-1, -1, -0.5), (-0.5, -1, -0.5), (-1, -0.5, -0.5)])
    face = backend.visibility(points, torch.arange(6).view(2, 3), (8, 8)).face[0]
    assert face[0, 0] == 1
    assert face[7, 0] == 0
    assert face[0, 2] == 0
    assert (face[:, 5:] == -1).all()
    # The same picture when the order of the faces is reversed.
    swapped = backend.visibility(points, torch.arange(6).view(2, 3).flip(0), (8, 8)).face[0]
    assert torch.equal(torch.where(face >= 0, 1 - face, -1), swapped)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("px", [64, 512])
def test_no_hole_on_the_diagonal(backend, px):
    square = flat_clip([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    assert (backend.visibility(square, faces, (px, px)).face >= 0).all()
    turned = flat_clip([(-1.3, -1.1, 0), (1.2, -1.7, 0), (1.5, 1.4, 0), (-1.6, 1.9, 0)])
    assert (backend.visibility(turned, faces, (px, px)).face >= 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_go_to_the_smaller_face(backend):
    points = flat_clip([(-1, -1, 0), (1, -1, 0), (-1, 1, 0)])
    faces = torch.tensor([[1, 2, 0], [0, 1, 2], [2, 0, 1]])
    face = backend.visibility(points, faces, (16, 16)).face
    assert set(face.unique().tolist()) == {-1, 0}


@pytest.mark.parametrize("backend", BACKENDS)
def test_culling_drops_what_is_seen_from_behind(backend):
    mesh = sphere(2)
    points = clip(rig(1), mesh.vertices)
    every = backend.visibility(points, mesh.faces, (32, 32)).face
    assert torch.equal(backend.visibility(points, mesh.faces, (32, 32), cull=True).face, every)
    inside_out = backend.visibility(points, mesh.faces.flip(1), (32, 32), cull=True).face
    assert not (inside_out == every)[every >= 0].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_faces_behind_the_camera_and_beyond_the_planes_are_dropped(backend):
    points = flat_clip([(-1, -1, 0), (1, -1, 0), (-1, 1, 0)])
    faces = torch.tensor([[0, 1, 2]])
    behind = points.clone()
    behind[0, 0, 3] = -0.1
    assert (backend.visibility(behind, faces, (8, 8)).face == -1).all()
    for depth in (-1.5, 1.5):
        points[..., 2] = depth
        assert (backend.visibility(points, faces, (8, 8)).face == -1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_depth_at_the_far_plane_does_not_wrap(backend):
    near, far = -1.0, 1.0
    points = flat_clip([(-1, -1, far), (3, -1, far), (-1, 3, far), (-1, -1, near), (3, -1, near), (-1, 3, near)])
    assert (backend.visibility(points, torch.arange(6).view(2, 3), (4, 4)).face == 1).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("empty", ["vertices", "faces", "views"])
def test_nothing_in_nothing_out(backend, empty):
    points = torch.zeros(0 if empty == "views" else 2, 0 if empty == "vertices" else 3, 4)
    faces = torch.zeros(1 if empty == "views" else 0, 3, dtype=torch.int64)
    face = backend.visibility(points, faces, (4, 5)).face
    assert face.shape == (len(points), 4, 5)
    assert (face == -1).all()


@pytest.mark.parametrize("architecture", [75, 90])
def test_kernels_compile_for_cuda_without_a_device(architecture, tmp_path):
    import warp

    from backend.render import warp_visibility

    compiled = warp.compile_aot_module(warp_visibility, arch=architecture, module_dir=tmp_path, use_ptx=True)
    assert [path.suffix for path in compiled] == [".ptx"]


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [*SHAPES, "noise", "square"])
def test_cuda_sees_what_the_cpu_twin_sees(shape):
    from backend.render import warp_visibility

    if shape == "square":  # two faces over the whole picture: the second launch, in strips
        points = flat_clip([(-1.3, -1.1, 0), (1.2, -1.7, 0), (1.5, 1.4, 0.3), (-1.6, 1.9, 0.2)])
        faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    else:
        vertices, faces = noise_mesh() if shape == "noise" else SHAPES[shape]()[:2]
        points = clip(rig(4), vertices)
    size = (200, 180)
    screen, edges = discrete_screen(points, size), edge_table(faces, points.shape[1])
    keys = warp_visibility.nearest_faces(screen.cuda(), faces.cuda(), size, False).cpu()
    oracle = torch_visibility.nearest_faces(screen, faces, size, False)
    assert torch.equal(keys == NO_KEY, oracle == NO_KEY)
    assert (faces_of(keys) != faces_of(oracle)).float().mean() < 1e-3
    depth = torch.where(oracle == NO_KEY, torch.inf, 0.9)
    on_device = type(edges)(edges.ends.cuda(), edges.opposite.cuda())
    crossings = warp_visibility.silhouette_crossings(screen.cuda(), on_device, depth.cuda()).cpu()
    assert (crossings != torch_visibility.silhouette_crossings(screen, edges, depth)).float().mean() < 1e-4


def test_two_threads_over_the_views_give_the_same_faces():
    from backend.render import warp_visibility

    mesh = SHAPES["torus"]()
    screen = discrete_screen(clip(rig(3), mesh.vertices), (64, 64))
    keys = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        keys.append(warp_visibility.nearest_faces(screen, mesh.faces, (64, 64), False))
    torch.set_num_threads(1)
    assert torch.equal(*keys)
