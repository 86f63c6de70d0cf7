"""The columns of a batch's table: one row a job. Names carry units where there are any; titles and meanings are for the page."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "whole", "flag"]
Group = Literal["job", "settings", "fidelity", "judge", "cost", "versions"]


@dataclass(frozen=True)
class Column:
    """`unit` as Parquet's metadata and the page say it; "1" for shares and ratios. `better`: which way a number is good, "" for neither."""

    name: str
    kind: Kind
    group: Group
    title: str
    about: str
    unit: str = ""
    better: Literal["", "higher", "lower"] = ""


COLUMNS = (
    Column("id", "text", "job", "Job", "Name of the job and of its folder in jobs/"),
    Column("status", "text", "job", "Status", "done, finished early, failed or unfinished"),
    Column("trouble", "text", "job", "Trouble", "What went wrong, and what to do"),
    Column("error_code", "text", "job", "Error code", "Kind of the error that ended the job"),
    Column("attempts", "whole", "job", "Attempts", "How often a failed job was tried", "1"),
    Column("notes", "text", "job", "Notes", "What the run had to say"),
    Column("config_sha256", "text", "job", "Configuration", "SHA-256 of all that the result depends on"),
    Column("prompt", "text", "settings", "Prompt", "What it is, in a few words"),
    Column("sketch", "text", "settings", "Sketch", "The file that was refined"),
    Column("sketch_sha256", "text", "settings", "Sketch SHA-256", "SHA-256 of the sketch file"),
    Column("method", "text", "settings", "Method", "Distillation gradient; of a preset, those of its stages in order"),
    Column("preset", "text", "settings", "Preset", "Stages the run was made of"),
    Column("mode", "text", "settings", "Mode", "sketch, prompt, texture, image or illusion"),
    Column("seed", "whole", "settings", "Seed", "The same seed repeats the run"),
    Column("slack_stroke_radii", "number", "settings", "Slack", "Freedom of the shape", "stroke radii"),
    Column("parameters", "text", "settings", "Parameters", "Of the method, as JSON"),
    Column("steps", "whole", "settings", "Steps", "Steps that were run, over all stages", "1"),
    Column("prior", "text", "settings", "Prior", "Name or folder of the prior, as asked"),
    Column("prior_name", "text", "settings", "Prior's name", "As its card says"),
    Column("prior_weights_sha256", "text", "settings", "Prior's weights", "SHA-256 of the weights"),
    Column("recall", "number", "fidelity", "Recall", "Share of the sketch that the result still follows", "1", "higher"),
    Column("growth", "number", "fidelity", "Growth", "Share of the result that lies off the sketch", "1", "lower"),
    Column("moved_share", "number", "fidelity", "Moved", "Share of the surface that has moved", "1"),
    Column("pieces", "whole", "fidelity", "Pieces", "Connected pieces of the result", "1"),
    Column("sketch_pieces", "whole", "fidelity", "Sketch pieces", "Connected pieces of the sketch", "1"),
    Column("severed", "whole", "fidelity", "Severed", "Strokes cut through during the run", "1", "lower"),
    Column("parted", "whole", "fidelity", "Parted", "Joints between strokes lost during the run", "1", "lower"),
    Column("silhouette_iou", "number", "fidelity", "Silhouette IoU", "Overlap of the silhouettes with the start's", "1", "higher"),
    Column("roughness", "number", "fidelity", "Roughness", "Roughness of the result's surface", "1", "lower"),
    Column("sketch_roughness", "number", "fidelity", "Sketch roughness", "Roughness of the sketch's surface", "1"),
    Column("vertices", "whole", "fidelity", "Vertices", "Of the asset", "1"),
    Column("faces", "whole", "fidelity", "Faces", "Triangles of the asset", "1"),
    Column("watertight", "flag", "fidelity", "Watertight", "Whether the surface is closed"),
    Column("paintable", "flag", "fidelity", "Paintable", "Whether the UV map is fit for painting by hand"),
    Column("judge_noun_share", "number", "judge", "Noun", "Share of views in which the judge sees the prompt's noun", "1", "higher"),
    Column("judge_colour_share", "number", "judge", "Colour", "Share of views in which it sees the prompt's colour", "1", "higher"),
    Column("judge_pattern_share", "number", "judge", "Pattern", "Share of views in which it sees the prompt's pattern", "1", "higher"),
    Column("judge_view_accuracy", "number", "judge", "View accuracy", "Share of views it takes for the view they are", "1", "higher"),
    Column("judge_false_fronts", "number", "judge", "False fronts", "Share of side and back views it takes for a front", "1", "lower"),
    Column("judge_iq_nats", "number", "judge", "IQ", "Mean entropy of its answers to one view", "nats", "lower"),
    Column("judge_iv_nats", "number", "judge", "IV", "Entropy of its mean answer over the views", "nats", "higher"),
    Column("judge_ig", "number", "judge", "IG", "(IV - IQ) / IQ", "1", "higher"),
    Column("clip_similarity", "number", "judge", "CLIP", "Mean cosine of the views with the prompt", "1", "higher"),
    Column("total_s", "number", "cost", "Time", "Seconds of the whole run", "s", "lower"),
    Column("steps_s", "number", "cost", "Time in steps", "Seconds of its stages alone", "s", "lower"),
    Column("phases_s", "text", "cost", "Phases", "Seconds of every phase, as JSON", "s"),
    Column("peak_memory_mib", "number", "cost", "Peak memory", "Where the run measured it", "MiB", "lower"),
    Column("denoiser_rows", "whole", "cost", "Denoiser rows", "Pictures that went through the denoiser", "1", "lower"),
    Column("device", "text", "cost", "Device", "cpu or a GPU"),
    Column("sketchbridge_version", "text", "versions", "SketchBridge", "Version that ran"),
    Column("torch_version", "text", "versions", "torch", "Version that ran"),
    Column("versions", "text", "versions", "Versions", "Of everything, as JSON"),
)

BY_NAME = {column.name: column for column in COLUMNS}
