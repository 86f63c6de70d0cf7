"""What a prior will not understand of a prompt, told once and in words."""

from collections.abc import Iterable

from backend.priors.contract import Prior

MOST_NAMED = 12


def prompt_warnings(prior: Prior, *prompts: str) -> list[str]:
    """Sentences for a person about these prompts: at most one for words that the prior does not know, and one for words beyond its length.

    Both name the words and say what can be done. An empty list for prompts that are understood whole.
    """
    name = prior.card.name
    warnings = []
    unknown = _named(word for prompt in prompts for word in prior.unknown_words(prompt))
    if unknown:
        warnings.append(
            f"The prior '{name}' does not know {unknown}; it will paint the nearest thing it knows."
            " A larger prior knows more words: --prior FOLDER or a hub id, --prior OWNER/NAME."
        )
    dropped = _named(word for prompt in prompts for word in prior.dropped_words(prompt))
    if dropped:
        warnings.append(f"The prompt is longer than the prior '{name}' can read; it will not see {dropped}. Say it in fewer words.")
    return warnings


def _named(words: Iterable[str]) -> str:
    """Words in quotes, each once, the first twelve of them; "" for none."""
    each = [f"'{word}'" for word in dict.fromkeys(words)]
    more = [] if len(each) <= MOST_NAMED else [f"{len(each) - MOST_NAMED} more"]
    return ", ".join([*each[:MOST_NAMED], *more])
