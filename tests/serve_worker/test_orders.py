"""Orders to a run under way: each takes effect where it should, and nothing for another job does."""


import msgspec
import numpy as np
import pytest

from backend.serve.orders import Drop, Ended, Held, Moved, Said, Show, Shown, Stop, Turn, Turned
from protocol.job import JournalEntry, Steer
from tests.serve_worker.broker import result, stored

WIDER = Steer(slack=0.9)


def test_pause_frees_the_worker_and_resuming_gives_the_same_asset(shared, job, ball, tmp_path):
    """Steered on the way; resumed with the journal that was told, and compared with an undisturbed run of that journal."""
    one, two = "1" * 32, "2" * 32
    shared.order(stored(job, tmp_path / one, ball), one, 1)
    shared.wait_for(Held, one)
    shared.order(Turn(seq=5, command=WIDER), one, 1)
    turned = shared.wait_for(Turned, one).body
    assert (turned.seq, turned.entry.command, turned.prompt) == (5, WIDER, "a red mug")
    shared.order(Stop(how="pause"), one, 1)
    paused = shared.finish(one, outcome="paused")
    assert turned.entry.step <= paused.step < 16 and paused.results == ()

    shared.order(stored(job, tmp_path / one, {}, resume=True, journal=(turned.entry,), preview_vertices=0), one, 2)
    resumed = shared.finish(one, 2)
    assert shared.all(Turned, one, 2) == [] and shared.all(Shown, one, 2) == []
    shared.order(stored(job, tmp_path / two, ball, journal=(turned.entry,), preview_vertices=0), two, 1)
    whole = shared.finish(two)
    assert shared.wait_for(Turned, two).body == Turned(seq=0, entry=turned.entry, prompt="a red mug")
    _same(result(tmp_path / one, resumed), result(tmp_path / two, whole))
    for name in ("base_colour.png", "asset.glb"):
        assert (tmp_path / one / "result" / name).read_bytes() == (tmp_path / two / "result" / name).read_bytes()

    # An attempt whose last word nobody heard is told again, not made again.
    shared.order(stored(job, tmp_path / two, ball, resume=True), two, 2)
    assert shared.finish(two, 2) == whole
    assert shared.all(Moved, two, 2) == []


def test_steering_that_waits_comes_with_the_run_and_a_new_prompt_makes_it_longer(shared, job, ball, tmp_path):
    name, blue = "3" * 32, Steer(prompt="a blue mug")
    shared.order(stored(job, tmp_path, ball, steers=((2, WIDER), (3, blue))), name, 1)
    shared.wait_for(Turned, name, when=lambda turned: turned.seq == 3)
    assert [word.body for word in shared.all(Turned, name)] == [
        Turned(seq=2, entry=JournalEntry(0, WIDER), prompt="a red mug"),
        Turned(seq=3, entry=JournalEntry(0, blue), prompt="a blue mug"),
    ]
    moved = shared.wait_for(Moved, name, when=lambda moved: moved.phase == "steered").body
    assert moved.steps == 150 + 8
    shared.order(Stop(how="discard"), name, 1)
    shared.finish(name, outcome="cancelled")


def test_discard_keeps_nothing_and_finish_exports(shared, job, ball, tmp_path):
    one, two = "4" * 32, "5" * 32
    shared.order(stored(job, tmp_path / one, ball), one, 1)
    shared.wait_for(Held, one)
    shared.order(Stop(how="finish"), "f" * 32, 1)  # another job's, and another attempt's
    shared.order(Stop(how="finish"), one, 7)
    shared.order(Stop(how="discard"), one, 1)
    ended = shared.finish(one, outcome="cancelled")
    assert ended.results == () and not (tmp_path / one / "result").exists()

    shared.order(stored(job, tmp_path / two, ball), two, 1)
    shared.wait_for(Held, two)
    shared.order(Stop(how="finish"), two, 1)
    early = shared.finish(two, outcome="finished early")
    assert early.step < early.steps and len(result(tmp_path / two, early)) == 3


def test_previews_follow_the_viewer(shared, job, ball, tmp_path):
    """None while nobody looks; then of the size asked for; with few vertices, a smaller surface."""
    name = "6" * 32
    shared.order(stored(msgspec.structs.replace(job, preview_every=1), tmp_path, ball, preview_vertices=0), name, 1)
    shared.wait_for(Held, name)
    assert shared.all(Shown, name) == []
    shared.order(Show(max_vertices=100), name, 1)
    small = shared.wait_for(Shown, name)
    assert small.body.step > 3 and 50 < len(small.arrays["vertices"]) <= 100
    assert {spec.name: (spec.dtype, spec.shape[1]) for spec in small.body.arrays} == {
        "vertices": ("float32", 3),
        "faces": ("int32", 3),
        "colours": ("uint8", 3),
    }
    shared.order(Show(max_vertices=25_000), name, 1)
    shared.wait_for(Shown, name, when=lambda shown: shown.arrays[0].shape[0] > 100)
    shared.order(Stop(how="discard"), name, 1)
    shared.finish(name, outcome="cancelled")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("7" * 32, {"vertices": np.nan}, "1 vertex with coordinates that are not numbers"),
        ("8" * 32, {"faces": 10**6}, "vertex 1000000"),
    ],
)
def test_input_that_cannot_be_used_is_a_fault_and_the_worker_goes_on(shared, job, ball, tmp_path, name, change, told):
    for array, value in change.items():
        ball[array] = ball[array].copy()
        ball[array][0, 0] = value
    shared.order(stored(job, tmp_path, ball), name, 1)
    fault = shared.finish(name, outcome="failed").fault
    assert (fault.code, fault.retryable) == ("input", False) and told in fault.sentence and fault.hint
    assert "UserError" in fault.trace
    shared.wait_idle()


def test_a_prior_that_is_not_there_and_a_lost_checkpoint_are_said(shared, job, ball, tmp_path):
    one, two = "9" * 32, "b" * 32
    shared.order(stored(msgspec.structs.replace(job, prior=str(tmp_path / "nowhere")), tmp_path / one, ball), one, 1)
    assert "no prior in" in shared.finish(one, outcome="failed").fault.sentence
    shared.order(Drop())
    shared.order(stored(job, tmp_path / two, ball, resume=True), two, 4)
    assert "starts from the beginning" in shared.wait_for(Said, two, 4).body.text
    shared.wait_for(Held, two, 4)
    shared.order(Stop(how="discard"), two, 4)
    shared.finish(two, 4, outcome="cancelled")


def test_noise_on_the_line_is_passed_over(shared):
    for frames in ([b""], [b"\x01", b"", b""], [b"\xff", b"junk", b"junk"], [b"\x01", b"\x80", b"\x80"] * 20):
        shared.router.send_multipart([b"5ec" * 10, *frames])
    shared.wait_idle()


def test_texture_mode_leaves_a_picture_and_the_map_that_was_made(shared, job, ball, tmp_path):
    name = "c" * 32
    corners = ball["faces"].reshape(-1)
    arrays = {"vertices": ball["vertices"], "corner_vertex": corners, "polygon_start": np.arange(0, len(corners), 3, dtype=np.int32)}
    job = msgspec.structs.replace(job, mode="texture", stages=(), preset="quick", steps=2, grid=0)
    shared.order(stored(job, tmp_path, arrays), name, 1)
    ended = shared.finish(name)
    assert result(tmp_path, ended)["loop_uv"].shape == (len(corners), 2)
    names = {artefact.name for artefact in ended.results}
    assert names == {"loop_uv", "base_colour.png", "asset.obj", "asset.mtl", "asset.png", "sheet.png", "report.json"}


def test_beats_come_while_steps_are_computed(shared):
    """Over all that the tests before did with this worker: runs, exports, loading."""
    gaps = np.diff([at for at, word in zip(shared.heard_at, shared.words, strict=True) if not word.header.job])
    assert len(gaps) > 20
    # A test between two reads counts as silence here; those that were read late are followed by several at once.
    assert np.median(gaps) < 1.5
    sent = np.diff([word.header.sent_at for word in shared.words if not word.header.job])
    assert sent.max() < 3.0
    assert not any(isinstance(word.body, Ended) for word in shared.words if not word.header.job)


def _same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert np.array_equal(one[name], two[name]), name
