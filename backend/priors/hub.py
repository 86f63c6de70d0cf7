"""A model of the hub as a local folder: from the local cache if it is there, else downloaded once, only the files that are read."""

import json
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

from backend.errors import ResourceError, UserError
from backend.priors.card import CARD_FILE
from backend.priors.layout import NETWORKS, PARTS, refuse_layout, weight_files

REACH_WITHIN_S = 10.0


def fetch(repo_id: str) -> Path:
    """The local folder of the hub model `repo_id` ("owner/name").

    Errors: UserError for an id that is malformed, unknown, or not of the Stable Diffusion layout; ResourceError when it is not in
    the cache and the hub cannot be reached (within ten seconds; at once in offline mode) or the download breaks off.
    """
    folder = cached(repo_id)
    if folder is not None:
        return folder
    names = offered_files(repo_id)
    wanted = [name for name in names if name.endswith((".json", ".txt")) and (name.split("/")[0] in PARTS or "/" not in name)]
    try:
        # The small files first: an unusable layout is refused before gigabytes have come.
        folder = Path(snapshot_download(repo_id, allow_patterns=[*wanted, CARD_FILE], etag_timeout=REACH_WITHIN_S))
        refuse_layout(folder, repo_id)
        for part in NETWORKS:
            inside = [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]
            wanted += [f"{part}/{name}" for name in weight_files(inside, f"{part} of '{repo_id}'")[0]]
        return Path(snapshot_download(repo_id, allow_patterns=wanted, etag_timeout=REACH_WITHIN_S))
    except (UserError, ResourceError):
        raise
    except GatedRepoError as error:
        raise UserError(f"The hub model '{repo_id}' asks for its licence to be accepted.", "Accept it on the hub and sign in.") from error
    except Exception as error:
        raise _unreachable(repo_id) from error


def cached(repo_id: str) -> Path | None:
    """The folder of a model that was downloaded whole, else None; the hub is not asked. UserError for a malformed id."""
    try:
        folder = Path(snapshot_download(repo_id, local_files_only=True))
    except HFValidationError:
        raise UserError(f"'{repo_id}' is neither a folder nor a hub id.", "Give a folder that exists, or an id like owner/name.") from None
    except OSError:
        return None  # not in the cache yet
    whole = all((folder / part).is_dir() for part in PARTS) and all(_complete(folder, part) for part in NETWORKS)
    return folder if whole else None


def offered_files(repo_id: str) -> list[str]:
    """Names of the files that the hub has of a pipeline. Errors: UserError and ResourceError as in `fetch`, before any download."""
    try:
        names = [file.rfilename for file in HfApi().model_info(repo_id, timeout=REACH_WITHIN_S).siblings or []]
    except RepositoryNotFoundError as error:
        raise UserError(f"The hub has no model '{repo_id}' that you may read.", "Check the id, or sign in to the hub.") from error
    except Exception as error:  # the hub's client raises those of whichever HTTP library it is built on
        raise _unreachable(repo_id) from error
    if "model_index.json" not in names:
        raise UserError(f"The hub model '{repo_id}' is not a text-to-image pipeline of the diffusers layout: it has no model_index.json.")
    return names


def _complete(folder: Path, part: str) -> bool:
    """Whether the cached part has its weights, every shard of them (an interrupted download leaves some out)."""
    names = [path.name for path in (folder / part).iterdir()]
    for index in (folder / part).glob("*.safetensors.index.json"):
        if set(json.loads(index.read_text())["weight_map"].values()) <= set(names):
            return True
    return any(name.endswith(".safetensors") and "-of-" not in name for name in names)


def _unreachable(repo_id: str) -> ResourceError:
    return ResourceError(
        f"The model '{repo_id}' is not on this machine and could not be downloaded.",
        "Check the network, or give the folder of a model that is already here.",
    )
