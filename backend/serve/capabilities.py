"""What this server offers, as data for a user interface. No torch: settings and cards are plain structs."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from backend.distill.parameters import PARAMETERS
from backend.distill.read_parameters import describe_parameters
from backend.priors.card import PriorCard, read_card
from backend.priors.exemplar_folder import EXEMPLAR, card_of, read_exemplars
from backend.priors.layout import check_folder
from backend.refine.presets import stages_of
from protocol.errors import UserError
from protocol.job import Mode
from protocol.messages import Choice, MethodCard, Parameter, PriorInfo

STARTER_FOLDER = Path(__file__).parent.parent / "priors" / "starter"

MODES: tuple[Choice, ...] = (
    Choice(name="sketch", title="Sketch to asset", description="Turns the drawn shape into a textured asset, close to the drawing."),
    Choice(name="prompt", title="Prompt to asset", description="Grows an asset from the words alone, without a drawing."),
    Choice(name="texture", title="Texture only", description="Paints a finished mesh; its shape is not touched."),
    Choice(name="image", title="Picture", description="Makes a flat picture from the words, or a painting into a picture of them."),
    Choice(name="illusion", title="Illusion", description="Two pictures that show another thing at each quarter turn of the upper one."),
)

PRESETS: tuple[Choice, ...] = (
    Choice(name="default", title="Balanced", description="Colours, then shape and colours together, then details."),
    Choice(name="quick", title="Quick", description="One short pass: a first impression in a fraction of the time."),
    Choice(name="colour", title="Colour only", description="Keeps the drawn shape as it is. For sketches."),
    Choice(name="loose", title="Loose", description="Lets the shape move farther from the drawing, with more steps. For sketches."),
)

METHOD_WORDS: dict[str, tuple[str, str]] = {
    "sds": ("Score distillation (SDS)", "Pulls every view toward the prompt. Bold colours and clear shapes; the usual first choice."),
    "bridge": ("Bridge", "Leads from a description of the present flaws to the prompt. Natural colours and finer detail, best at the end."),
    "csd": (
        "Classifier score (CSD)",
        "Follows the prompt alone, away from the negative prompt. For texture; it never comes to rest, so keep it short.",
    ),
    "nfsd": (
        "Noise-free score (NFSD)",
        "Like score distillation with its noise taken out, so that a gentler pull will do. Calmer colours.",
    ),
    "dds": (
        "Delta denoising (DDS)",
        "Edits the drawing: changes what the prompt says differently from its description, and leaves the rest.",
    ),
    "vsd": (
        "Variational score (VSD)",
        "Learns, beside the run, how the present views fall short of real pictures. Rich, natural detail, for more time and memory.",
    ),
    "esd": (
        "Entropic score (ESD)",
        "As VSD, but its views are encouraged to differ. For objects that grow the same face on several sides.",
    ),
    "jsd": ("Jensen-Shannon score (JSD)", "Pulls toward the likely picture and a rarer one. Sharp, with more variety between seeds."),
    "ism": (
        "Interval score matching (ISM)",
        "Compares two nearby noise levels of the same picture. Fine, even detail on a shape that already stands.",
    ),
    "sdi": (
        "Score distillation via inversion (SDI)",
        "Works with the noise that fits the present picture. Sharp results, and nothing has to learn beside the run.",
    ),
    "pfd": (
        "Probability-flow distillation (PFD)",
        "Follows the whole way from the noise to a clean picture. The most faithful detail and variety, at many times the cost.",
    ),
    "cfd": (
        "Consistent flow (CFD)",
        "Gives the object one noise that all views share. Every seed makes another object; run it from strong noise to weak.",
    ),
    "dual_bridge": ("Full dual bridge", "The Bridge solved in many steps, as a last polish of pictures and textures. Slow."),
}


@dataclass(frozen=True)
class OfferedPrior:
    """A prior that clients may name. `location`: what the worker loads it by; it never comes from a client."""

    location: str
    card: PriorCard
    info: PriorInfo


def offer_priors(named: tuple[str, ...]) -> dict[str, OfferedPrior]:
    """The starter and the priors in `named` (folders, ids of the hub, exemplar:FOLDER), by the name that clients use.

    Errors: UserError for a folder that is not there, or two of one name; ResourceError for a model of the hub that is not here and cannot
    be reached; as `check_folder`, `read_card` and `read_exemplars`.
    """
    check_folder(STARTER_FOLDER)
    offered = {"starter": _offer("starter", "starter", read_card(STARTER_FOLDER))}
    for location in named:
        folder = Path(location.removeprefix(EXEMPLAR)).expanduser()
        if location.startswith(EXEMPLAR):
            name, where = folder.resolve().name, f"{EXEMPLAR}{folder.resolve()}"
            card = card_of(name, read_exemplars(folder))
        elif folder.is_dir():
            check_folder(folder)
            name, where, card = folder.resolve().name, str(folder.resolve()), read_card(folder)
        elif location.count("/") == 1 and not location.startswith((".", "/", "~")):
            name, where, card = location, location, _card_of_hub(location)
        else:
            raise UserError(f"There is no prior in '{location}'.", "Give a folder that exists, or a hub id such as owner/name.")
        if name in offered:
            raise UserError(f"Two priors are called '{name}'.", "Rename one of the folders.")
        offered[name] = _offer(name, where, card)
    return offered


def _card_of_hub(repo_id: str) -> PriorCard:
    """The card of a model that is in the cache; of one that is not, the defaults, once the hub has said that it has it."""
    from backend.priors.hub import cached, offered_files

    folder = cached(repo_id)
    if folder is not None:
        check_folder(folder)
        card = read_card(folder)
        return card if card.name != folder.name else msgspec.structs.replace(card, name=repo_id)
    offered_files(repo_id)
    return PriorCard(name=repo_id)


def methods(card: PriorCard) -> tuple[MethodCard, ...]:
    """Every gradient with its settings; the defaults are those that suit the prior of this card."""
    cards = []
    for name in PARAMETERS:
        title, description = METHOD_WORDS[name]
        parameters = tuple(msgspec.convert(entry, Parameter) for entry in describe_parameters(name, card))
        cards.append(MethodCard(name=name, title=title, description=description, parameters=parameters))
    return tuple(cards)


def check_preset(preset: str, mode: Mode, card: PriorCard) -> None:
    """Errors: UserError if the mode has no such preset, naming the nearest."""
    stages_of(preset, mode, card)


def _offer(name: str, location: str, card: PriorCard) -> OfferedPrior:
    info = PriorInfo(
        name=name,
        title=card.name,
        licence=card.licence,
        nouns=card.nouns,
        colours=card.colours,
        patterns=card.patterns,
        vocabulary=card.vocabulary,
        example_prompts=card.example_prompts,
    )
    return OfferedPrior(location, card, info)
