import pytest
import torch

from backend.geometry.edges import edge_table


def test_no_faces_give_an_empty_table():
    table = edge_table(torch.zeros(0, 3, dtype=torch.int64), 0)
    assert table.ends.shape == table.opposite.shape == (0, 2)


def test_one_triangle_has_three_boundary_edges():
    table = edge_table(torch.tensor([[2, 0, 1]]), 3)
    assert table.ends.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert table.opposite.tolist() == [[2, -1], [1, -1], [0, -1]]


def test_two_triangles_share_an_edge():
    table = edge_table(torch.tensor([[0, 1, 2], [2, 1, 3]]), 4)
    assert table.ends.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    assert table.opposite.tolist() == [[2, -1], [1, -1], [0, 3], [2, -1], [1, -1]]


def test_an_edge_of_three_faces_keeps_the_first_two():
    table = edge_table(torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]]), 5)
    assert table.opposite[table.ends.tolist().index([0, 1])].tolist() == [2, 3]


def test_wrong_faces_are_refused():
    with pytest.raises(ValueError, match=r"\[F,3\] int64, got \[2, 4\]"):
        edge_table(torch.zeros(2, 4, dtype=torch.int64), 4)
