"""Folders that cannot be used: one sentence each, without a connection, and before any weights are loaded where that can be told."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from backend.cli.main import app
from backend.errors import ResourceError, SketchBridgeError, UserError
from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.layout import check_folder
from backend.serve import capabilities
from backend.serve.capabilities import offer_priors

pytestmark = pytest.mark.disable_socket

UNET = "unet/diffusion_pytorch_model.safetensors"


def cut_short(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def other_shapes(folder):
    path = folder / "unet" / "config.json"
    path.write_text(path.read_text().replace('"cross_attention_dim": 12', '"cross_attention_dim": 14'))
    path = folder / "text_encoder" / "config.json"
    path.write_text(path.read_text().replace('"hidden_size": 12', '"hidden_size": 14'))


def missing_tensors(folder):
    path = folder / "text_encoder" / "config.json"
    path.write_text(path.read_text().replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))


def two_text_encoders(folder):
    path = folder / "model_index.json"
    path.write_text('{"_class_name": "StableDiffusionXLPipeline", "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}')


def pooled_conditions(folder):
    path = folder / "unet" / "config.json"
    path.write_text(path.read_text().replace('"addition_embed_type": null', '"addition_embed_type": "text_time"'))


def inpainting(folder):
    path = folder / "unet" / "config.json"
    path.write_text(path.read_text().replace('"in_channels": 6', '"in_channels": 13'))


def flow(folder):
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(path.read_text().replace('"epsilon"', '"flow_prediction"'))


@pytest.mark.parametrize(
    ("damage", "error", "sentence"),
    [
        (cut_short, ResourceError, "unet.* is damaged or incomplete"),
        (other_shapes, ResourceError, "damaged or incomplete"),
        (missing_tensors, ResourceError, "tensors such as"),
        (lambda folder: (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink(), ResourceError, "vae of .* has no weights"),
        (lambda folder: (folder / "vae" / "config.json").write_text("{"), ResourceError, "config.json' is damaged"),
        (lambda folder: shutil.rmtree(folder / "text_encoder"), UserError, "it has no text_encoder"),
        (two_text_encoders, UserError, "StableDiffusionXLPipeline"),
        (pooled_conditions, UserError, "more conditions than a text"),
        (inpainting, UserError, "takes 13 channels and returns 6"),
        (flow, UserError, "predicts 'flow_prediction'"),
        (lambda folder: (folder / "sketchbridge.json").write_text('{"vocabulry": []}'), UserError, "Did you mean 'vocabulary'"),
        (lambda folder: shutil.rmtree(folder), UserError, "There is no prior in"),
    ],
)
def test_an_unusable_folder_gets_one_sentence(folder, tmp_path, damage, error, sentence):
    copy = shutil.copytree(folder, tmp_path / "copy")
    damage(copy)
    with pytest.raises(error, match=sentence) as raised:
        DiffusersPrior.load(copy)
    assert "\n" not in str(raised.value)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(what):
    return lambda path: path.write_text(what)


DAMAGES = {
    "empty": text(""),
    "half": half,
    "no text": lambda path: path.write_bytes(b"\x93\xff garbage" * 50),
    "another object": text("{}"),
    "a list": text("[]"),
    "nothing": text("null"),
    "no file": lambda path: (path.unlink(), path.mkdir()),
    "wrong types": lambda path: path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), "x"))),
}
FILES = {
    "model_index.json": ("empty", "half", "no text", "a list", "no file"),
    "scheduler/scheduler_config.json": ("empty", "half", "no text", "nothing", "no file", "wrong types"),
    "text_encoder/config.json": ("empty", "another object", "no file", "wrong types"),
    "text_encoder/model.safetensors": ("empty", "half"),
    "tokenizer/tokenizer.json": ("empty", "half", "no text", "another object", "a list", "nothing", "wrong types"),
    "tokenizer/tokenizer_config.json": ("half", "a list", "nothing"),
    "unet/config.json": ("no text", "another object", "nothing", "wrong types"),
    UNET: ("empty", "half", "no text", "another object", "no file"),
    "vae/config.json": ("half", "another object", "a list", "wrong types"),
    "sketchbridge.json": ("empty", "half", "a list", "no file", "wrong types"),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_not_what_it_should_be_is_one_sentence(folder, tmp_path, file):
    for damage in FILES[file]:
        copy = shutil.copytree(folder, tmp_path / damage)
        if file == "sketchbridge.json":
            (copy / file).write_text('{"name": "tiny", "guidance": 3.0}')
        DAMAGES[damage](copy / file)
        with pytest.raises(SketchBridgeError) as raised:
            DiffusersPrior.load(copy)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 600, damage
        assert file.split("/")[0] in str(raised.value) or isinstance(raised.value, UserError), damage


def test_memory_that_runs_out_is_not_called_damage(folder, monkeypatch):
    from backend.priors import loading

    def full(**_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(loading.UNet2DConditionModel, "from_pretrained", full)
    with pytest.raises(RuntimeError, match="allocate"):
        DiffusersPrior.load(folder)


# The same through the commands: exit codes, one line on stderr, and nothing begun.


def refused(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("sketchbridge: "), result.output
    return result.exit_code, result.stderr


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a red mug.png").write_bytes(b"")
    return folder


@pytest.fixture
def cut(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "cut")
    half(copy / UNET)
    return copy


def test_every_command_that_takes_a_prior_says_what_is_wrong_with_it(tmp_path, cut, pictures):
    for command in (
        ("refine", "--mode", "prompt", "--prompt", "a mug", "--out", tmp_path / "refined", "--prior"),
        ("compare", "--beds", "none", "--methods", "sds", "--out", tmp_path / "compared", "--prior"),
        ("serve", "--data", tmp_path / "served", "--port", "0", "--prior"),
    ):
        code, said = refused(*command, cut)
        assert code == 3 and "unet" in said and "damaged or incomplete" in said and "download the folder again" in said
        code, said = refused(*command, pictures)
        assert code == 2 and "it has no unet, vae, text_encoder, tokenizer, scheduler" in said and "exemplar:FOLDER" in said
        code, said = refused(*command, tmp_path / "nowhere")
        assert code == 2 and "There is no prior in" in said
    assert not (tmp_path / "served").exists()
    for folder in ("refined", "compared"):
        assert not list((tmp_path / folder).iterdir())


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_every_command_that_takes_a_prior_says_that_the_hub_cannot_be_reached(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for command in (
        ("refine", "--mode", "prompt", "--prompt", "a mug", "--out", tmp_path / "refined", "--prior"),
        ("compare", "--beds", "none", "--methods", "sds", "--out", tmp_path / "compared", "--prior"),
        ("serve", "--data", tmp_path / "served", "--port", "0", "--prior"),
    ):
        code, said = refused(*command, "owner/model")
        assert code == 3 and "'owner/model' is not on this machine and could not be downloaded. Check the network" in said
    assert not (tmp_path / "served").exists()


def test_a_server_with_a_damaged_starter_does_not_start(cut, monkeypatch):
    monkeypatch.setattr(capabilities, "STARTER_FOLDER", cut)
    with pytest.raises(ResourceError, match="unet"):
        offer_priors(())


def test_a_whole_folder_passes_the_check_that_reads_no_weights(folder, velocity_folder):
    check_folder(folder)
    check_folder(velocity_folder)
    assert offer_priors((str(folder),))[folder.name].location == str(folder)
