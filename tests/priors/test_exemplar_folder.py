"""Folders of pictures as people have them: captions in two ways, phones' rotation, transparency, and what is wrong with them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from backend.errors import UserError
from backend.priors.card import BackgroundCard
from backend.priors.exemplar import ExemplarPrior
from backend.priors.exemplar_folder import Exemplar, card_of, read_exemplars, read_pixels
from backend.priors.resolve import resolve_prior
from backend.views import FRONT, SIDE, VIEW_WORDS


def picture(path, colour=(200, 30, 30), size=(32, 32), **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **how)
    return path


def listing(folder, *entries):
    (folder / "metadata.jsonl").write_text("".join(entry if isinstance(entry, str) else json.dumps(entry) + "\n" for entry in entries))


@pytest.fixture
def mugs(tmp_path):
    """Three pictures with a listing."""
    folder = tmp_path / "mugs"
    picture(folder / "b.png")
    picture(folder / "a.jpg", (20, 20, 220))
    picture(folder / "more" / "c.webp", (20, 220, 20), lossless=True)
    listing(
        folder,
        {"file_name": "b.png", "text": "a red mug", "view": "front view", "artist": "me"},
        {"file_name": "a.jpg", "text": "a blue mug", "view": "Side"},
        "\n",
        {"file_name": "more/c.webp", "text": "a green mug"},
    )
    return folder


def test_a_listing_is_read_in_its_order(mugs):
    found = read_exemplars(mugs)
    assert [one.path.name for one in found] == ["b.png", "a.jpg", "c.webp"]
    assert [one.caption for one in found] == ["a red mug", "a blue mug", "a green mug"]
    assert [one.view for one in found] == [FRONT, SIDE, ""]


def test_captions_beside_the_pictures(tmp_path):
    for name, caption in (
        ("2.jpeg", "a red mug, side view\n"),
        ("1.PNG", "a  blue\n mug"),
        ("3.webp", "front view and back view of a mug"),
    ):
        picture(tmp_path / name).with_suffix(".txt").write_text(caption, encoding="utf-8-sig")
    (tmp_path / "notes.md").write_text("not a picture")
    found = read_exemplars(tmp_path)
    assert [one.caption for one in found] == ["a blue mug", "a red mug, side view", "front view and back view of a mug"]
    assert [one.view for one in found] == ["", SIDE, ""]


def test_a_line_without_text_takes_the_caption_beside(mugs):
    (mugs / "b.txt").write_text("a crimson mug")
    listing(mugs, {"file_name": "b.png", "view": "front"}, {"file_name": "a.jpg", "text": "a blue mug"})
    assert [one.caption for one in read_exemplars(mugs)] == ["a crimson mug", "a blue mug"]


def test_resolved_by_name_it_is_a_prior_with_the_words_of_its_captions(mugs):
    prior = resolve_prior(f"exemplar:{mugs}")
    assert isinstance(prior, ExemplarPrior)
    assert prior.latent_shape == (3, 64, 64) and prior.image_size_px == 64
    assert prior.card.name == "mugs"
    assert prior.card.vocabulary == ("red", "mug", "blue", "green")
    assert prior.card.view_words == VIEW_WORDS
    assert (prior.card.target_suffix, prior.card.source_descriptors, prior.card.negative) == ("", "", "")
    red = prior.decode(prior.sample(1, "a red mug", generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(red.mean((0, 2, 3)), torch.tensor([200, 30, 30]).double() / 255, atol=1e-6, rtol=0)
    assert ExemplarPrior.load(mugs).fingerprint() == prior.fingerprint()


def test_the_card_of_captions_alone_has_the_same_words(mugs):
    whole, quick = resolve_prior(f"exemplar:{mugs}").card, card_of("mugs", read_exemplars(mugs))
    assert (whole.vocabulary, whole.view_words, whole.sds_guidance) == (quick.vocabulary, quick.view_words, quick.sds_guidance)


def test_without_tags_there_are_no_view_words(tmp_path):
    for name in ("1.png", "2.png"):
        picture(tmp_path / name).with_suffix(".txt").write_text("a mug")
    assert card_of("mugs", read_exemplars(tmp_path)).view_words == ()


def only(path, size_px=8):
    """[3, S, S] of one file."""
    return read_pixels([Exemplar(path, "a mug")], size_px)[0]


def test_transparent_pixels_are_grey_and_half_transparent_ones_half(tmp_path):
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[..., 0] = 255
    rgba[:, 4:, 3] = 255
    rgba[:, :2, 3] = 0
    rgba[:, 2:4, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    row = only(tmp_path / "a.png")[:, 4]
    np.testing.assert_allclose(row[:, 0], 0.5)
    np.testing.assert_allclose(row[:, 7], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(row[:, 3], [0.75, 0.25, 0.25], atol=2e-3)


def test_hidden_colour_under_transparency_does_not_bleed_when_it_shrinks(tmp_path):
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[..., 1] = 255  # green, but invisible
    rgba[16:48, 16:48] = (255, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert only(tmp_path / "a.png")[1].max() <= 0.5 + 1e-6


def test_the_rotation_of_a_phone_is_undone(tmp_path):
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:, :8] = 255  # left half white; orientation 6 says: turn clockwise, so the top is white
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)
    shown = only(tmp_path / "a.jpg")
    assert shown[:, 0].min() > 0.95 and shown[:, -1].max() < 0.05


def test_an_oblong_picture_is_padded_not_cut_or_stretched(tmp_path):
    pixels = np.full((16, 32, 3), 204, dtype=np.uint8)
    pixels[4:12, 12:20] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shown = only(tmp_path / "a.png", 32)[0]
    np.testing.assert_allclose(shown[[0, 7, 8, 31]], 0.8, atol=1e-6)
    assert (shown < 0.4).sum() == 64


def test_a_colour_profile_becomes_srgb(tmp_path):
    """A profile whose red is sRGB's blue: its red shows as blue. One that is no profile is passed over."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    for name, profile, shown in (("a", plain, [1, 0, 0]), ("b", swapped, [0, 0, 1]), ("c", b"no profile", [1, 0, 0])):
        picture(tmp_path / f"{name}.png", (255, 0, 0), icc_profile=profile)
        np.testing.assert_allclose(only(tmp_path / f"{name}.png")[:, 0, 0], shown, atol=3 / 255)


def test_greys_of_16_bits_and_palettes(tmp_path):
    Image.fromarray(np.full((8, 8), 0xC000, dtype=np.uint16)).save(tmp_path / "deep.png")
    np.testing.assert_allclose(only(tmp_path / "deep.png"), 0.75, atol=2 / 255)
    Image.new("RGB", (8, 8), (255, 128, 0)).quantize(4).save(tmp_path / "palette.png")
    np.testing.assert_allclose(only(tmp_path / "palette.png")[:, 0, 0], [1.0, 128 / 255, 0.0], atol=1 / 255)


def test_backgrounds_of_a_run_follow_the_pictures(tmp_path):
    pixels = np.full((4, 3, 8, 8), 0.2, dtype=np.float32)
    pixels[:2] = 1.0
    pixels[2] = 0.45
    pixels[3, 0] = 0.9
    pixels[:, :, 3:5, 3:5] = 0.0
    found = read_exemplars_of(tmp_path, 4)
    background = card_of("x", found, pixels).background
    assert (background.white_share, background.grey_share) == (0.5, 0.25)
    assert background.grey == pytest.approx((0.45, 0.45))
    assert card_of("x", found).background == BackgroundCard()


def read_exemplars_of(folder, count):
    for number in range(count):
        picture(folder / f"{number}.png").with_suffix(".txt").write_text("a mug")
    return read_exemplars(folder)


def cut(path):
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda mugs: (mugs / "a.jpg").unlink(), r"Line 2 of '.*metadata.jsonl' names 'a.jpg', which is not there"),
        (lambda mugs: (mugs / "b.png").write_bytes(b"no picture"), r"'.*b.png' could not be read"),
        (lambda mugs: cut(picture(mugs / "b.png", size=(640, 480))), r"'.*b.png' could not be read"),
        (lambda mugs: Image.new("RGB", (8, 8)).save(mugs / "b.png", format="BMP"), r"'.*b.png' could not be read"),
        (lambda mugs: listing(mugs, {"file_name": "b.png"}, {"file_name": "a.jpg", "text": "x"}), r"'.*b.png' has no caption"),
        (lambda mugs: listing(mugs, {"file_name": "b.png", "text": " "}), r"'.*b.png' has no caption"),
        (lambda mugs: listing(mugs, {"file_name": "b.png", "text": "a mug"}), r"mugs' holds only one picture; a prior needs at least 2"),
        (lambda mugs: listing(mugs), r"mugs' holds no PNG, JPEG or WebP picture"),
        (lambda mugs: listing(mugs, {"text": "a mug"}), r"Line 1 of '.*metadata.jsonl' names no picture"),
        (lambda mugs: listing(mugs, "[1]\n"), r"Line 1 of '.*metadata.jsonl' names no picture"),
        (lambda mugs: listing(mugs, "{oh\n"), r"Line 1 of '.*metadata.jsonl' is not valid JSON"),
        (lambda mugs: (mugs / "metadata.jsonl").write_bytes(b"\xff\xfe\x00"), r"metadata.jsonl' could not be read as text"),
        (
            lambda mugs: listing(mugs, {"file_name": "b.png", "text": "a mug", "view": "frnt view"}),
            r"Line 1 of .* has the unknown view 'frnt view'\. Did you mean 'front view'\?",
        ),
        (lambda mugs: listing(mugs, {"file_name": "../b.png", "text": "a mug"}), r"names '../b.png', which is outside of the folder"),
        (lambda mugs: (mugs / "metadata.jsonl").unlink(), r"'.*a.jpg' has no caption\. Give every picture a line in metadata.jsonl"),
    ],
)
def test_an_unusable_folder_gets_one_sentence_that_names_the_file(mugs, damage, sentence):
    damage(mugs)
    with pytest.raises(UserError, match=sentence) as raised:
        resolve_prior(f"exemplar:{mugs}")
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no folder of pictures 'nowhere'"):
        resolve_prior("exemplar:nowhere")
    with pytest.raises(UserError, match="No prior was named"):
        resolve_prior("exemplar:")
    with pytest.raises(UserError, match="no PNG, JPEG or WebP picture"):
        read_exemplars(tmp_path)
