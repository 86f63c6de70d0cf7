"""Prompt debiasing (arXiv 2303.15413) with tiny masked language models: one of random weights, and one whose answers are constructed."""

import shutil

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast

from backend.distill import debias
from backend.distill.debias import debias_prompt, debiased_prompts, load_masked_model
from backend.errors import ResourceError, UserError
from backend.priors.card import PriorCard

VIEWS = PriorCard().view_words
WORDS = ("This", "image", "is", "depicting", "a", "view", "of", "front", "side", "back", "overhead", "smiling", "mug", "red")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = {word: at for at, word in enumerate((*SPECIAL, *WORDS))}


def tokenizer(vocabulary=VOCABULARY):
    inner = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = WhitespaceSplit()
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=32, **names)


def bert(kind=BertForMaskedLM):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(BertConfig(vocab_size=len(VOCABULARY), **sizes)).eval()
        for weight in model.parameters():  # at initialisation a context hardly matters; here it should
            weight.data *= 12.0 if weight.dim() > 1 else 1.0
        return model


class Answers(torch.nn.Module):
    """A masked language model by rule: at the mask every view word has its logit of `start`, changed for every word of the sentence that
    is in `rules`: {word: {view word: change}}."""

    config = BertConfig(max_position_embeddings=32)
    device = torch.device("cpu")

    def __init__(self, rules, start=(0.0, 0.0, 0.0, 0.0)):
        super().__init__()
        self.rules, self.start = rules, dict(zip(("front", "side", "back", "overhead"), start, strict=True))

    def forward(self, input_ids, **_):
        logits = torch.full((*input_ids.shape, len(VOCABULARY)), -3.0)
        for row, ids in enumerate(input_ids):
            at = (ids == VOCABULARY["[MASK]"]).nonzero()[0, 0]
            for view, value in self.start.items():
                logits[row, at, VOCABULARY[view]] = value + sum(
                    change.get(view, 0.0) for word, change in self.rules.items() if VOCABULARY[word] in ids
                )
        return type("Output", (), {"logits": logits})


def test_a_word_that_contradicts_a_view_is_dropped_for_that_view_alone():
    # Without "smiling" every view has 1/4; with it the back has e^-2 / (3 + e^-2) = .043: ratio .043 / ((.043 + .25) / 2) = .29.
    model = Answers({"smiling": {"back": -2.0}})
    told = debias_prompt("a smiling red mug", model, tokenizer(), VIEWS)
    assert told == {
        "front view": "a smiling red mug",
        "side view": "a smiling red mug",
        "back view": "a red mug",
        "overhead view": "a smiling red mug",
    }


@pytest.mark.parametrize(("change", "dropped"), [(-0.12, False), (-0.15, True)])
def test_pmi_against_the_threshold(change, dropped):
    # ratio = p / ((p + 1/4) / 2), p = e^change / (3 + e^change): .9556 and .9446 on either side of .95.
    p = torch.tensor(change).exp() / (3 + torch.tensor(change).exp())
    assert (float(p / (0.5 * (p + 0.25))) < 0.95) == dropped
    told = debias_prompt("smiling mug", Answers({"smiling": {"back": change}}), tokenizer(), VIEWS)
    assert told["back view"] == ("mug" if dropped else "smiling mug")
    assert (
        debias_prompt("smiling mug", Answers({"smiling": {"back": change}}), tokenizer(), VIEWS, threshold=0.5)["back view"]
        == "smiling mug"
    )


def test_probabilities_of_the_view_words_are_renormalised():
    # Only ratios among the four count: a word that moves all of them alike contradicts none.
    alike = dict.fromkeys(("front", "side", "back", "overhead"), -5.0)
    assert set(debias_prompt("smiling mug", Answers({"smiling": alike}, start=(2, 0, 1, -1)), tokenizer(), VIEWS).values()) == {
        "smiling mug"
    }


def test_only_removable_words_are_taken_out():
    model = Answers({"smiling": {"back": -2.0}, "red": {"back": -2.0}})
    both = debias_prompt("a smiling red mug", model, tokenizer(), VIEWS)["back view"]
    assert both == "a mug"
    assert debias_prompt("a smiling red mug", model, tokenizer(), VIEWS, [2])["back view"] == "a smiling mug"
    assert debias_prompt("a smiling red mug", model, tokenizer(), VIEWS, [])["back view"] == "a smiling red mug"
    with pytest.raises(UserError, match="has 4 words, so there is no word 4"):
        debias_prompt("a smiling red mug", model, tokenizer(), VIEWS, [4])


def test_a_prompt_of_which_nothing_would_be_left_is_kept():
    model = Answers({"smiling": {"back": -2.0}})
    assert debias_prompt("smiling", model, tokenizer(), VIEWS)["back view"] == "smiling"


def test_a_prompt_without_words_that_speak_of_a_view_is_unchanged():
    assert set(debias_prompt("a red mug", Answers({"smiling": {"back": -2.0}}), tokenizer(), VIEWS).values()) == {"a red mug"}


def test_a_random_bert_is_asked_sentence_by_sentence_as_if_alone():
    model, words = bert(), tokenizer()
    prompts = ["a smiling red mug", "mug", *[f"a {word} mug" for word in WORDS]]  # more than one batch, of different lengths
    together = debias._view_shares(prompts, model, words, VIEWS)
    assert together.shape == (len(prompts), 4)
    torch.testing.assert_close(together.sum(1), torch.ones(len(prompts), dtype=torch.float64))
    assert together.std(0).min() > 1e-3  # the model does tell the sentences apart
    alone = torch.cat([debias._view_shares([prompt], model, words, VIEWS) for prompt in prompts])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    # The probabilities themselves, over the whole vocabulary and then renormalised.
    tokens = words([debias.SENTENCE.format(mask="[MASK]", prompt="mug")], return_tensors="pt")
    logits = model(**tokens).logits[0, tokens["input_ids"][0].tolist().index(VOCABULARY["[MASK]"])].softmax(0).detach()
    four = torch.stack([logits[VOCABULARY[word]] for word in ("front", "side", "back", "overhead")])
    torch.testing.assert_close(alone[1], (four / four.sum()).double(), atol=1e-6, rtol=1e-5)


def test_a_prompt_longer_than_the_model_reads_is_cut():
    assert set(debias_prompt("mug " * 40, bert(), tokenizer(), VIEWS)) == set(VIEWS)


def test_a_view_word_the_model_does_not_know_gets_a_sentence():
    with pytest.raises(UserError, match="does not know the view word 'above'"):
        debias_prompt("a mug", bert(), tokenizer(), ("front view", "side view", "back view", "above"))


@pytest.fixture
def folder(tmp_path):
    bert().save_pretrained(tmp_path / "bert")
    tokenizer().save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.mark.disable_socket
def test_a_folder_is_read_without_the_network(folder):
    model, words = load_masked_model(str(folder))
    assert not any(weight.requires_grad for weight in model.parameters()) and not model.training
    assert debias_prompt("a smiling mug", model, words, VIEWS) == debias_prompt("a smiling mug", bert(), tokenizer(), VIEWS)
    assert debiased_prompts("a smiling mug", str(folder), VIEWS) == debias_prompt("a smiling mug", model, words, VIEWS)


@pytest.mark.parametrize("source", ["", "  ", "/no/where", "some/where/else", "../x", "~/x"])
def test_a_folder_that_is_not_there(source):
    with pytest.raises(UserError, match="There is no language model in '"):
        load_masked_model(source)


def test_a_folder_with_something_else(tmp_path, folder):
    with pytest.raises(UserError, match="it has no config"):
        load_masked_model(str(tmp_path))
    headless = tmp_path / "headless"
    bert(BertModel).save_pretrained(headless)
    tokenizer().save_pretrained(headless)
    with pytest.raises(UserError, match=r"does not fill in masked words: it has no cls\."):
        load_masked_model(str(headless))
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "clip_text_model"}')
    with pytest.raises(UserError, match="is not one that fills in masked words"):
        load_masked_model(str(other))


@pytest.mark.parametrize(
    ("file", "text"), [("model.safetensors", None), ("model.safetensors", "x"), ("config.json", "{"), ("tokenizer.json", "{")]
)
def test_a_damaged_folder(folder, file, text):
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(ResourceError, match="is damaged or incomplete") as raised:
        load_masked_model(str(folder))
    assert "\n" not in str(raised.value)


def test_a_hub_id_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ResourceError, match="'someone/bert' is not on this machine and could not be downloaded"):
        load_masked_model("someone/bert")
