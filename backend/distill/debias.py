"""Prompt debiasing: words that contradict a view are taken out of that view's prompt (Debiased-SDS, arXiv 2303.15413).

A masked language model says how probable each view word is in a sentence about the prompt. A word that makes a view less probable
than the prompt without it does ("smiling" for the back view) is left out for that view.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.errors import ResourceError, UserError

SENTENCE = "This image is depicting a {mask} view of {prompt}"  # the published implementation's
THRESHOLD = 0.95
AT_ONCE = 8  # sentences: the answers are as wide as the vocabulary


def debias_prompt(
    prompt: str,
    model: Any,
    tokenizer: Any,
    view_words: Sequence[str],
    removable: Sequence[int] | None = None,
    threshold: float = THRESHOLD,
) -> dict[str, str]:
    """View word -> the prompt to use with it.

    Args:
        model, tokenizer: a masked language model and its tokenizer (`load_masked_model`).
        view_words: as the prior's card has them ("front view", ...).
        removable: places of the prompt's words that may be taken out, counted from 0; None: any of them.
        threshold: a word goes from the prompt of view k where p_k / ((p_k + p'_k) / 2) is below it; p and p' are the probabilities of
            the view words, renormalised, with the whole prompt and without the word.

    A prompt of which nothing would be left is kept whole. Errors: UserError for a view word the model does not know as one token.
    """
    words = prompt.split()
    places = range(len(words)) if removable is None else removable
    outside = [place for place in places if not 0 <= place < len(words)]
    if outside:
        raise UserError(f"The prompt has {len(words)} words, so there is no word {outside[0]} to take out.", "Count from 0.")
    without = [" ".join(words[:place] + words[place + 1 :]) for place in places]
    shares = _view_shares([prompt, *without], model, tokenizer, view_words)
    whole, part = shares[:1], shares[1:]
    ratio = whole / (0.5 * (whole + part))  # [words, views]; arXiv 2303.15413, section 3.3: the pointwise mutual information
    against = (ratio < threshold).tolist()
    debiased = {}
    for column, view in enumerate(view_words):
        dropped = {place for place, row in zip(places, against, strict=True) if row[column]}
        kept = " ".join(word for place, word in enumerate(words) if place not in dropped)
        debiased[view] = kept if kept.strip(" ,.") else prompt
    return debiased


def debiased_prompts(prompt: str, source: str, view_words: Sequence[str]) -> dict[str, str]:
    """`debias_prompt` with the model in the folder, or of the hub id, `source`; loaded once. Errors: those of `load_masked_model`."""
    return debias_prompt(prompt, *load_masked_model(source), view_words)


@lru_cache(maxsize=1)
def load_masked_model(source: str) -> tuple[Any, Any]:
    """The masked language model in a folder, which is read without any network access, or of a hub id ("bert-base-uncased").

    Errors: UserError for a folder that is missing or holds something else; ResourceError for one that is incomplete or damaged, and
    for a hub model that is not here and cannot be reached.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from backend.priors.loading import quietly

    path = Path(source)
    is_folder = bool(source.strip()) and path.is_dir()
    if not is_folder and (not source.strip() or path.is_absolute() or len(path.parts) > 2 or path.parts[0] in ("..", "~")):
        raise UserError(f"There is no language model in '{source}'.", "Give a folder that exists, or a hub id like bert-base-uncased.")
    if is_folder and not (path / "config.json").exists():
        raise UserError(f"The folder '{source}' holds no language model: it has no config.json.", "Give one that transformers wrote.")
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=is_folder)
            model, found = AutoModelForMaskedLM.from_pretrained(
                source, local_files_only=is_folder, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:  # the libraries raise those of the hub's client, of safetensors and of the tokenizers as they are
        raise _unusable(source, is_folder, error) from error
    # The library fills what a file lacks with random numbers, and their answers would look like any others.
    absent = sorted(map(str, (*found["missing_keys"], *found["mismatched_keys"])))
    if absent:
        raise UserError(
            f"The model '{source}' does not fill in masked words: it has no {absent[0]}.", "Give a masked language model such as BERT."
        )
    if tokenizer.mask_token is None:
        raise UserError(f"The model '{source}' has no word that stands for a masked one.", "Give a masked language model such as BERT.")
    return model.eval().requires_grad_(False), tokenizer


def _unusable(source: str, is_folder: bool, error: Exception) -> UserError | ResourceError:
    line = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
    if "Unrecognized" in line:
        return UserError(f"The model '{source}' is not one that fills in masked words.", "Give a masked language model such as BERT.")
    if is_folder:
        return ResourceError(f"The language model in '{source}' is damaged or incomplete: {line}.", "Copy or download the folder again.")
    return ResourceError(
        f"The language model '{source}' is not on this machine and could not be downloaded.",
        "Check the id and the network, or give the folder of a model that is already here.",
    )


def _view_shares(prompts: Sequence[str], model: Any, tokenizer: Any, view_words: Sequence[str]) -> Tensor:
    """[prompts, views] float64 on the host: the probability of each view word in the sentence about each prompt, summing to 1."""
    ids = [_token(word, tokenizer) for word in view_words]
    sentences = [SENTENCE.format(mask=tokenizer.mask_token, prompt=prompt) for prompt in prompts]
    room = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    shares = []
    for start in range(0, len(sentences), AT_ONCE):
        some = sentences[start : start + AT_ONCE]
        tokens = tokenizer(some, padding=True, truncation=True, max_length=room, return_tensors="pt").to(model.device)
        with torch.no_grad():
            logits = model(**tokens).logits
        # The first one: the prompt comes later in the sentence.
        at_mask = (tokens["input_ids"] == tokenizer.mask_token_id).int().argmax(dim=1)
        answers = logits[torch.arange(len(some), device=logits.device), at_mask][:, ids]
        shares.append(answers.double().cpu().softmax(dim=1))
    return torch.cat(shares)


def _token(view_word: str, tokenizer: Any) -> int:
    word = view_word.removesuffix(" view")  # the sentence has that word already
    # After a space, as it stands in the sentence: some vocabularies tell the two apart.
    ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise UserError(f"The language model does not know the view word '{word}' as one token.", "Use another model, or leave debias out.")
    return int(ids[0])
