"""What tables make of results, against numbers worked out by hand; and that every registered experiment plans."""

import csv
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.cli.experiment import digest_of
from backend.errors import UserError
from backend.evaluate.judge import load_judge
from backend.experiments import shape_runs
from backend.experiments.captions import CLEAN, caption_of, captions, known_nouns, renders
from backend.experiments.contract import Cell, Plan, Result, Spread, Table
from backend.experiments.janus import FRONTED, spread_of_backgrounds
from backend.experiments.judged import first_kept, keep_pictures
from backend.experiments.registry import EXPERIMENTS, experiment
from backend.experiments.report import csv_text, markdown_text, spread
from backend.experiments.shape_runs import SHEET_PX
from backend.experiments.write import publish, write_all
from backend.priors.card import PriorCard, read_card
from backend.priors.resolve import STARTER, resolve_prior
from backend.refine import image_presets
from backend.render.sheet import tile
from backend.zoo.captions import FULL, caption
from backend.zoo.catalogue import NOUNS, make_object


def test_spread_is_mean_and_sample_deviation():
    assert spread([1.0, 3.0]) == Spread(2.0, math.sqrt(2.0), 2)
    assert spread([5]) == Spread(5.0, 0.0, 1)
    assert spread([]) is None and spread([1.0, math.inf]) is None


def test_spreads_in_text():
    rows = [["a|b", Spread(1.25, 0.5, 3), 2, None], ["c", Spread(7.0, 0.0, 1), 3, "why"]]
    table = Table("t", "T", ("method", "x", "n", "remark"), rows, {"x": 1}, "A note.")
    assert csv_text(table).splitlines() == ["method,x,x sd,n,remark", "a|b,1.25,0.5,2,", "c,7,,3,why"]
    assert markdown_text(table).splitlines()[2:] == [
        "| method | x | n | remark |",
        "|---|---|---|---|",
        "| a/b | 1.2 ± 0.5 | 2 |  |",
        "| c | 7.0 | 3 | why |",
        "",
        "A note.",
    ]


def _table1_result(method, seed, frechet, noun, failure="", **more):
    spec = {"of": method, "seed": seed, "captions": [["a red apple", "apple", "red", "plain", ""]] * 4, "steps": 9, "equal": ""}
    values = {} if failure else {"frechet": frechet, "kernel": frechet / 10, "shares": {"noun": noun, "colour": 1.0, "both": noun}, **more}
    return Result(Cell(f"{method} {seed}", spec), values, failure)


def test_table1_means_over_seeds():
    results = [
        _table1_result("ddim", 0, 1.0, 1.0, rows=40, steps=20, seconds=0.5),
        _table1_result("sds", 0, 4.0, 0.5, rows=600, steps=300, seconds=2.0),
        _table1_result("bridge", 0, 0.0, 0.0, failure="It broke."),
        _table1_result("sds", 1, 6.0, 1.0, rows=600, steps=300, seconds=4.0),
    ]
    read = list(csv.DictReader(io.StringIO(csv_text(experiment("table1").tables(results)[0]))))
    assert [row["method"] for row in read] == ["DDIM, 20 steps", "SDS", "Bridge"]
    assert (float(read[1]["Frechet distance"]), float(read[1]["Frechet distance sd"])) == (5.0, pytest.approx(math.sqrt(2), abs=1e-4))
    assert (float(read[1]["noun"]), float(read[1]["seconds"]), read[1]["steps"]) == (0.75, 3.0, "300")
    assert read[2]["Frechet distance"] == "" and read[2]["remark"] == "It broke."


def _janus_result(variant, noun, seed, iq, iv):
    spec = {"form": "particles", "variant": variant, "caption": [noun], "seed": seed, "steps": 1}
    values = {"iq": iq, "iv": iv, "noun": 1.0, "colour": 1.0, "front": 0.5, "apart": 1.0, "backgrounds": 0.1, "rows": 40, "seconds": 60.0}
    return Result(Cell("c", spec), values)


def test_janus_gives_both_averages_of_the_gain():
    """Gains of the published columns are ratios of means or means of ratios, and those differ (arXiv 2401.00909, table 1)."""
    results = [
        _janus_result("esd-1", "cat", 0, 1.0, 2.0),
        _janus_result("esd-1", "duck", 0, 3.0, 3.3),
        _janus_result("vsd", "cat", 0, 2.0, 2.0),
        _janus_result("vsd", "duck", 0, 2.0, 2.0),
    ]
    table = experiment("janus").tables(results)[0]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["ESD, λ 1"]["IG of means"].mean == pytest.approx((2.65 - 2.0) / 2.0)
    assert rows["ESD, λ 1"]["mean IG"].mean == pytest.approx((1.0 + 0.1) / 2)
    assert rows["VSD"]["IG of means"].mean == 0.0 and rows["VSD"]["minutes"].mean == 1.0
    assert rows["VSD"]["rows"].mean == 40


def test_backgrounds_spread_whatever_stands_before_them():
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    border = torch.ones(64, 64, dtype=torch.bool)
    border[4:-4, 4:-4] = False
    pictures[:, :, border] = torch.tensor([[0.1, 0.5, 0.2], [0.2, 0.5, 0.2], [0.3, 0.5, 0.2]])[:, :, None]
    assert spread_of_backgrounds(pictures) == pytest.approx(0.1 / 3, abs=1e-6)


def test_objects_are_averaged_within_a_seed_first():
    """Two seeds of one object and two: (2 + 4) / 2 = 3 and 7 give 5 +- sqrt 8; what failed is not counted."""
    made = [("apple", 0, 2.0), ("mug", 0, 4.0), ("apple", 1, 7.0)]
    spec = {"method": "sds", "steps": 1, "equal": ""}
    results = [Result(Cell("c", {**spec, "caption": [noun], "seed": seed}), {"noun": value, "seconds": 60.0}) for noun, seed, value in made]
    results.append(Result(Cell("c", {**spec, "caption": ["mug"], "seed": 1}), {}, "It broke."))
    table = experiment("table2").tables(results)[0]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["noun"] == Spread(5.0, pytest.approx(math.sqrt(8)), 2)
    assert row["minutes"].mean == 1.0 and row["remark"] == "1 failed: It broke."


def test_only_objects_that_every_method_has_finished_are_averaged():
    """Of seed 0 SDS lacks the mug, of seed 1 only the apple has been begun; ESD, which finished nothing, has no say."""
    made = [("sds", "apple", 0, 0.2), ("vsd", "apple", 0, 0.3), ("vsd", "mug", 0, 0.9), ("sds", "apple", 1, 0.4), ("vsd", "apple", 1, 0.5)]
    results = [
        Result(Cell("c", {"method": method, "caption": [noun], "seed": seed}), {"noun": value}) for method, noun, seed, value in made
    ]
    results += [Result(Cell("c", {"method": method, "caption": ["mug"], "seed": 0}), {}, "It broke.") for method in ("sds", "esd")]
    table = experiment("table2").tables(results)[0]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["SDS"]["noun"].mean == pytest.approx(0.3) and rows["VSD"]["noun"].mean == pytest.approx(0.4)
    assert rows["ESD"]["noun"] is None and rows["ESD"]["remark"] == rows["SDS"]["remark"] == "1 failed: It broke."
    assert "2 of 4 are left out" in table.note and "1 of seed 0, 1 of seed 1" in table.note
    assert "left out" not in experiment("table2").tables(results[:2])[0].note


@pytest.mark.parametrize("name", ["table2", "sketch-to-real", "illusion", "janus"])
def test_notes_say_that_spreads_are_of_the_same_captions(name):
    results = [Result(cell, {}, "It broke.") for cell in experiment(name).cells(Plan(read_card(STARTER), "quick"))]
    for table in experiment(name).tables(results):
        assert "their choice is not in the spreads" in table.note and len(table.rows[0]) == len(table.columns)


def test_the_first_result_with_arrays_is_shown(tmp_path):
    keep_pictures(tmp_path / "two.npz", torch.ones(1, 3, 2, 2))
    results = [Result(Cell("c", {}), values) for values in ({}, {"file": "gone.npz"}, {"file": "two.npz"})]
    assert first_kept(tmp_path, results)["pictures"].min() == 255 and first_kept(tmp_path, results[:2]) is None


def test_nouns_of_janus_have_a_front_that_the_judge_knows():
    assert set(FRONTED) <= set(load_judge().fronted) and len(known_nouns(read_card(STARTER), FRONTED)) >= 4


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("size", ["quick", "full"])
def test_every_experiment_plans_distinct_cells_that_fit_a_line_of_json(name, size):
    found = experiment(name)
    card = read_card(STARTER)
    cells = found.cells(Plan(card, size))
    assert cells and len({(cell.name, str(sorted(cell.spec.items()))) for cell in cells}) == len(cells)
    assert len({cell.name for cell in cells}) == len(cells)
    assert found.cells(Plan(card, size)) == cells
    assert found.name == name
    assert list(found.tables([])) is not None


@pytest.mark.parametrize("name", ["table1", "table2", "janus", "sketch-to-real", "painting", "illusion"])
def test_numbers_and_methods_that_were_asked_for(name):
    found = experiment(name)
    card = read_card(STARTER)
    more = len(found.cells(Plan(card, "quick", seeds=3)))
    assert more == 3 * len(found.cells(Plan(card, "quick", seeds=1)))
    with pytest.raises(UserError, match="has no 'sdss'"):
        found.cells(Plan(card, methods=("sdss",)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, ("equal",)) for name in ("janus", "illusion", "sketch-to-real")),
        *((name, ("captions", "equal")) for name in ("slack", "descents", "starts")),
    ],
)
def test_options_that_an_experiment_does_not_have_are_refused(name, options):
    for option in options:
        asked = {option: {"captions": 3, "equal": "rows"}[option]}
        with pytest.raises(UserError, match=f"'{name}' has no option --{option}"):
            experiment(name).cells(Plan(read_card(STARTER), **asked))


@pytest.mark.parametrize(
    ("name", "key", "asked"),
    [("slack", "bound", "symmetric"), ("descents", "optimiser", "smoothed uniform Adam"), ("starts", "start", "noisy ball")],
)
def test_variants_of_shapes_can_be_chosen(name, key, asked):
    card = read_card(STARTER)
    assert {cell.spec[key] for cell in experiment(name).cells(Plan(card, methods=(asked,)))} == {asked} and "," not in asked
    with pytest.raises(UserError, match="has no 'sdss'"):
        experiment(name).cells(Plan(card, methods=("sdss",)))


def test_captions_are_whole_ones_of_the_zoo_and_the_prior():
    card = PriorCard(nouns=("apple", "zebra", "mug"), patterns=("plain", "striped"))
    asked = captions(card, 40)
    assert {one.noun for one in asked} == {"apple", "mug"} == set(known_nouns(card)) and {one.pattern for one in asked} <= {
        "plain",
        "striped",
    }
    assert asked[:10] == captions(card, 10)
    assert known_nouns(PriorCard()) == NOUNS
    assert len({one.view for one in asked}) > 1
    thing = make_object(1, "mug", "orange", "striped")
    assert caption_of("mug", "orange", "striped", "front view").text == caption(thing, 0, 10, np.random.default_rng(0), choices=FULL)
    assert CLEAN.clay == CLEAN.corrupted == 0.0


def test_captions_stay_within_what_a_prior_knows():
    few = PriorCard(nouns=("mug", "gnome"), colours=("red",), patterns=("plain",))
    assert {(one.noun, one.colour, one.pattern) for one in captions(few, 12)} == {("mug", "red", "plain")}
    # Pictures of a user's own give words, but no lists of nouns and colours.
    words = PriorCard(vocabulary=("crimson", "blue mug", "apple"))
    assert known_nouns(words) == ("apple", "mug")
    assert {one.colour for one in captions(words, 12)} == {"blue"} and {one.pattern for one in captions(words, 12)} == {"plain"}
    for card, told in ((PriorCard(name="gnomes", nouns=("gnome",)), "'gnomes' knows none"), (PriorCard(colours=("teal",)), "no colour of")):
        for name in ("table1", "table2", "janus", "painting", "illusion"):
            with pytest.raises(UserError, match=told):
                experiment(name).cells(Plan(card))
    with pytest.raises(UserError, match="knows none"):
        experiment("sketch-to-real").cells(Plan(PriorCard(nouns=("gnome",))))


@pytest.mark.parametrize("name", ["table1", "painting"])
def test_one_picture_has_no_distance(name):
    with pytest.raises(UserError, match="more than one picture"):
        experiment(name).cells(Plan(PriorCard(), captions=1))


def test_a_paintings_cells_change_with_their_stages(monkeypatch):
    def specs():
        return {cell.spec["way"]: cell.spec for cell in experiment("painting").cells(Plan(PriorCard(), seeds=1))}

    before = specs()
    edit = image_presets._bridge

    def other(*arguments, **settings):
        return edit(*arguments, **{**settings, "high": 0.6})

    monkeypatch.setattr("backend.refine.image_presets._bridge", other)
    assert {way for way, spec in specs().items() if spec != before[way]} == {"bridge", "sds"}


def test_renders_are_of_the_caption_and_repeat():
    asked = [caption_of("apple", "red", view="overhead view"), caption_of("apple", "blue")]
    pictures = renders(asked, 2, 70_000_000, 24)
    assert pictures.shape == (4, 3, 24, 24) and pictures.dtype == torch.float32
    assert torch.equal(pictures, renders(asked, 2, 70_000_000, 24))
    middle = pictures[:, :, 8:16, 8:16].mean((2, 3))
    assert (middle[:2, 0] > middle[:2, 2]).all() and (middle[2:, 2] > middle[2:, 0]).all()


def test_a_page_gets_tables_and_figures_between_its_marks(tmp_path):
    results = [_table1_result("sds", seed, 4.0 + seed, 0.5, rows=600, steps=300, seconds=2.0) for seed in (0, 1)]
    made = write_all(experiment("table1"), results, tmp_path / "out", "How it was made.")
    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text("# Results\n\n<!-- experiment table1 -->\nold\n<!-- end -->\n\n<!-- experiment janus -->\nkept\n<!-- end -->\n")
    written = publish("table1", made, page)
    text = page.read_text()
    assert "old" not in text and "kept" in text and "How it was made." in text and "| SDS | 4.50 ± 0.71 |" in text
    assert "(pictures/table1_frechet.png)" in text and written[1:] == [page.parent / "pictures" / "table1_frechet.png"]
    once = page.read_text()
    publish("table1", made, page)
    assert page.read_text() == once
    with pytest.raises(UserError, match="no places for 'experiment painting'"):
        publish("painting", made, page)


def test_single_runs_of_shapes_are_no_table_of_the_page(tmp_path):
    spec = {"sketch": "flower", "prompt": "a red flower", "slack": 0.25, "bound": "symmetric", "seed": 0}
    lone = Result(Cell("lone run", spec), {"noun": 1.0, "sheet": "gone.png"}, "", 1.0)
    made = write_all(experiment("slack"), [lone], tmp_path, "How it was made.")
    assert "lone run" in (tmp_path / "slack_each.csv").read_text() and "slack_each.csv" in (tmp_path / "tables.md").read_text()
    assert "lone run" not in (tmp_path / "tables.md").read_text() and not [path for path in made if path.suffix == ".png"]


def test_variants_of_shapes_are_drawn_down_and_what_they_were_tried_on_across(tmp_path, monkeypatch):
    results, drawn = [], {}
    for number, (variant, subject, seed) in enumerate([("a", "cup", 0), ("a", "hat", 0), ("b", "cup", 0), ("a", "cup", 1)]):
        pictures = [np.full((8, SHEET_PX, SHEET_PX, 3), 50 * number + row, np.uint8) for row in range(2)]
        Image.fromarray(tile([("colour", pictures[0]), ("clay", pictures[1])])).save(tmp_path / f"{number}.png")
        results.append(Result(Cell(str(number), {"of": variant, "on": subject, "seed": seed}), {"sheet": f"{number}.png"}, "", 1.0))
    monkeypatch.setattr(shape_runs, "picture_sheet", lambda path, rows, columns: drawn.update(rows=rows, columns=columns) or path)
    places = (lambda result: result.cell.spec["of"], lambda result: result.cell.spec["on"])
    assert shape_runs.comparison(results, tmp_path, tmp_path / "all.png", *places, views=(0, 2)) == [tmp_path / "all.png"]
    assert drawn["columns"] == ["cup", "", "", "hat", "", ""]
    values = {name: [int(picture.mean()) for picture in pictures] for name, pictures in drawn["rows"]}
    assert values == {"a": [0, 0, 1, 50, 50, 51], "b": [100, 100, 101, 255, 255, 255]}
    assert shape_runs.comparison([], tmp_path, tmp_path / "none.png", *places) == []


def test_no_table_in_the_page_of_results_is_silently_of_other_weights():
    """The first line of every table there names the shipped weights and card, or says "an earlier release", or that it was not run."""
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    sections = re.findall(r"<!-- experiment (\S+) -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert [name for name, _ in sections] == list(EXPERIMENTS)
    prior = resolve_prior("starter")
    shipped = f"prior SketchBridge starter {prior.fingerprint()[:8]}, card {digest_of(prior.card)[:8]}"
    for name, text in sections:
        first = text.splitlines()[0]
        assert shipped in first or "an earlier release" in first or first.startswith("Not run"), name
