"""Models of the hub, without a hub: an empty cache, a filled one, and a download played from a folder."""

import fnmatch
import shutil
import time
from types import SimpleNamespace

import huggingface_hub
import pytest

from backend.errors import ResourceError, UserError
from backend.priors import hub
from backend.priors.resolve import resolve_prior

COMMIT = "0123456789abcdef0123456789abcdef01234567"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache in place of the user's."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def fill(cache, folder):
    """`folder` as the cached model owner/tiny."""
    snapshot = cache / "models--owner--tiny" / "snapshots" / COMMIT
    shutil.copytree(folder, snapshot)
    (cache / "models--owner--tiny" / "refs").mkdir()
    (cache / "models--owner--tiny" / "refs" / "main").write_text(COMMIT)
    return snapshot


@pytest.mark.disable_socket
def test_offline_an_absent_model_fails_at_once_with_a_sentence(cache, offline):
    start = time.monotonic()
    with pytest.raises(ResourceError, match="'owner/tiny' is not on this machine and could not be downloaded"):
        resolve_prior("owner/tiny")
    assert time.monotonic() - start < 5


@pytest.mark.disable_socket
@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_connections_refused_fail_at_once_with_a_sentence(cache):
    start = time.monotonic()
    with pytest.raises(ResourceError, match="could not be downloaded"):
        resolve_prior("owner/tiny")
    assert time.monotonic() - start < 5


@pytest.mark.disable_socket
def test_a_cached_model_needs_no_network(cache, folder, prior):
    fill(cache, folder)
    assert resolve_prior("owner/tiny").fingerprint() == prior.fingerprint()


@pytest.mark.disable_socket
def test_an_interrupted_download_is_not_taken_for_a_model(cache, offline, folder):
    (fill(cache, folder) / UNET).unlink()
    with pytest.raises(ResourceError, match="not on this machine"):
        resolve_prior("owner/tiny")


def test_an_id_that_is_none(cache):
    with pytest.raises(UserError, match="neither a folder nor a hub id"):
        resolve_prior("bad name/x")


class Hub:
    """Answers like the hub's client, out of a folder, and keeps a list of what was downloaded."""

    def __init__(self, folder, into):
        self.folder, self.into, self.downloaded = folder, into, []
        self.names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]

    def model_info(self, repo_id, timeout):
        assert timeout <= 10
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in self.names])

    def snapshot_download(self, repo_id, *, local_files_only=False, allow_patterns=(), etag_timeout=None):
        if local_files_only:
            raise FileNotFoundError("not in the cache")
        for name in self.names:
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns) and name not in self.downloaded:
                self.downloaded.append(name)
                (self.into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / name, self.into / name)
        return str(self.into)


@pytest.fixture
def play(monkeypatch, tmp_path):
    def start(folder):
        played = Hub(folder, tmp_path / "downloaded")
        monkeypatch.setattr(hub, "HfApi", lambda: played)
        monkeypatch.setattr(hub, "snapshot_download", played.snapshot_download)
        return played

    return start


def test_only_the_files_that_are_read_are_downloaded(folder, prior, tmp_path, play):
    offered = shutil.copytree(folder, tmp_path / "offered")
    shutil.copy(offered / UNET, offered / UNET.replace(".safetensors", ".fp16.safetensors"))
    shutil.copy(offered / UNET, offered / UNET.replace(".safetensors", ".non_ema.safetensors"))
    (offered / "v1-5-pruned.safetensors").write_bytes(b"0")
    (offered / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"0")
    (offered / "safety_checker").mkdir()
    (offered / "safety_checker" / "model.safetensors").write_bytes(b"0")
    played = play(offered)
    assert resolve_prior("owner/tiny").fingerprint() == prior.fingerprint()
    weights = [name for name in played.downloaded if not name.endswith((".json", ".txt"))]
    assert sorted(weights) == ["text_encoder/model.safetensors", UNET, "vae/diffusion_pytorch_model.safetensors"]


def test_another_layout_is_refused_before_its_weights_come(folder, tmp_path, play):
    offered = shutil.copytree(folder, tmp_path / "offered")
    (offered / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline", "text_encoder_2": []}')
    played = play(offered)
    with pytest.raises(UserError, match="'owner/tiny' is a StableDiffusionXLPipeline"):
        resolve_prior("owner/tiny")
    assert not [name for name in played.downloaded if name.endswith(".safetensors")]


def test_a_repository_that_is_no_pipeline(tmp_path, play):
    (tmp_path / "README.md").write_text("")
    play(tmp_path)
    with pytest.raises(UserError, match="has no model_index"):
        resolve_prior("owner/tiny")
