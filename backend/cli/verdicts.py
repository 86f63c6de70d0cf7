"""Verdicts of the judge as tables for a terminal."""

from typing import Any

from rich.table import Table


def asset_table(found: dict[str, Any]) -> Table:
    """Of one asset."""
    table = _table("measure", found["prompt"], title=f"{found['views']} views of {found['asset']}")
    wanted = found["wanted"]
    for what, key in (("noun", "noun_share"), ("colour", "colour_share"), ("pattern", "pattern_share")):
        asked = f"views that show the {what} '{wanted[what]}'" if wanted[what] else f"views that show the {what} asked for"
        table.add_row(asked, _share(found[key], "not asked, or cannot be judged"))
    table.add_row("  in bare colours: noun", _share(found["albedo_noun_share"]))
    table.add_row("  in bare colours: colour", _share(found["albedo_colour_share"]))
    no_front = "the noun has no front to judge"
    table.add_row("views judged to be what they are", _share(found["view_accuracy"], no_front))
    table.add_row("back views judged a back view", _share(found["back_share"], no_front))
    table.add_row("side and back views judged a front", _share(found["false_fronts"], no_front))
    for key, what in (("inception", "noun and view"), ("noun_inception", "noun"), ("view_inception", "view")):
        value = found[key]
        table.add_row(f"IQ, IV, IG of {what}", f"{value['iq']:.3f}, {value['iv']:.3f} nats, {value['ig']:.3f}")
    for head, counts in found["said"].items():
        table.add_row(f"seen as {head}", ", ".join(f"{label} {count}" for label, count in list(counts.items())[:4]))
    _clip(table, found)
    return table


def prior_table(found: dict[str, Any]) -> Table:
    """Of a prior's samples, a row per pair."""
    title = f"{found['prior']}: {found['steps']} DDIM steps, guidance {found['guidance']:g}"
    table = _table("caption", "noun", "colour", "both", title=title)
    for pair in found["pairs"]:
        table.add_row(pair["caption"], *(_share(pair[name]) for name in ("noun", "colour", "all")))
    table.add_row("all", *(_share(found["accuracy"][name]) for name in ("noun", "colour", "all")), style="bold")
    table.add_row("Frechet distance to renders", f"{found['frechet']:.2f}", "", "")
    table.add_row("  of renders to renders", f"{found['frechet_of_renders']:.2f}", "", "")
    _clip(table, found)
    return table


def pictures_table(found: dict[str, Any]) -> Table:
    """Of a folder of captioned pictures."""
    table = _table("asked for", "found", "captions", title=found["folder"])
    for head, share in found["accuracy"].items():
        table.add_row(head, _share(share), str(found["asked"][head]))
    if not found["accuracy"]:
        table.add_row("nothing that the judge knows", "-", "0")
    _clip(table, found)
    return table


def _table(*columns: str, title: str) -> Table:
    table = Table(*columns, title=title, box=None, title_justify="left")
    table.columns[0].no_wrap = True
    return table


def _clip(table: Table, found: dict[str, Any]) -> None:
    if "clip_similarity" in found:
        table.add_row("CLIP similarity", f"{found['clip_similarity']:.3f}")


def _share(value: float | None, otherwise: str = "-") -> str:
    return otherwise if value is None else f"{value:.1%}"
