"""`python -m protocol.schema` writes docs/protocol.md: the text of introduction.md, then every message as it is defined."""

import inspect
import typing
from pathlib import Path
from string import Template
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from protocol import job, messages
from protocol.framing import encode
from protocol.liveness import LOST_S
from protocol.messages import FROM_CLIENT, FROM_SERVER, Header, Hello, Limits, Ping
from protocol.version import BODY_BYTES, DEFAULT_PORT, FRAME_BYTES, HEADER_BYTES, MESSAGE_FRAMES, PING_S, VERSION

PAGE = Path(__file__).parents[1] / "docs" / "protocol.md"
INTRODUCTION = Path(__file__).with_name("introduction.md")

NAMED = {
    "name": messages.Name,
    "sentence": messages.Sentence,
    "count": messages.Count,
    "job id": messages.JobId,
    "digest": messages.Digest,
    "version": messages.Version,
    "state": messages.State,
    "ramp": job.Ramp,
    "share": job.Share,
    "positive": job.Positive,
}
MEANINGS = {
    "name": "a short text",
    "sentence": "words for a person",
    "count": "",
    "job id": "32 hexadecimal digits, lower case, or empty where no job is meant",
    "digest": "SHA-256 of raw bytes, 64 hexadecimal digits, lower case",
    "version": "major, minor",
    "state": "",
    "ramp": "value at the first and at the last step of a stage, linear between",
    "share": "",
    "positive": "",
}
PLAIN = {int: "integer", float: "float", str: "text", bool: "boolean", bytes: "binary", NoneType: "none", msgspec.Raw: "map"}

FAULTS = {
    "input": "the input is not usable: a missing array, an empty prompt, an unknown method",
    "resource": "the machine lacks something: memory, disk, weights, a device",
    "numerical": "the run left the numbers it can work with",
    "cancelled": "the run was stopped and what it had discarded",
    "version": "no version of the protocol that both sides speak",
    "hello": "the server does not know this connection: connect anew and say `Hello`",
    "unsupported": "a message kind that this side does not know",
    "malformed": "frames that are no message, or values outside their bounds",
    "too_large": "above a limit",
    "unknown_job": "no job of this id belongs to this client",
    "other_content": "another job was submitted under this id before",
    "gap": "a command or a chunk before this one is missing",
    "digest": "the bytes are not those of the digest, or nobody waits for them",
    "state": "the job is in a state in which this cannot be done",
    "worker_lost": "the process that ran the job died too often",
    "busy": "too much is under way; try again later",
    "address": "the server may not listen there",
    "internal": "a mistake in the program",
}
LIMITS = {
    "frame_bytes": "bytes of one raw frame",
    "upload_bytes": "bytes of the arrays of a job",
    "faces": "faces of a mesh",
    "texture_px": "width of a texture, in pixels",
    "preview_vertices": "vertices of a preview",
    "prompt_characters": "characters of a prompt",
    "jobs": "jobs of one client that wait or run",
    "window": "chunks and pieces without an answer",
}


def page() -> str:
    """The whole document."""
    structs = [*FROM_CLIENT.values(), *FROM_SERVER.values()]
    inner = _inside([Header, *structs, job.RefineJob], structs)
    parts = [
        _introduction(),
        "## Client to server\n",
        *(_struct(struct, kind) for kind, struct in FROM_CLIENT.items()),
        "## Server to client\n",
        *(_struct(struct, kind) for kind, struct in FROM_SERVER.items()),
        "## Inside the messages\n",
        *(_struct(struct) for struct in inner),
    ]
    return "\n".join(parts)


def write() -> None:
    """Writes docs/protocol.md."""
    PAGE.write_text(page(), encoding="utf-8")


def _introduction() -> str:
    frames = encode(Header(v=VERSION, id=2), Ping())
    hello = msgspec.msgpack.encode(Hello(low=(1, 0), high=VERSION, client="raw", token="0" * 32))
    return Template(INTRODUCTION.read_text(encoding="utf-8")).substitute(
        version=".".join(map(str, VERSION)),
        port=DEFAULT_PORT,
        message_frames=MESSAGE_FRAMES,
        header_bytes=HEADER_BYTES,
        body_bytes=BODY_BYTES,
        frame_bytes=FRAME_BYTES,
        ping_s=f"{PING_S:g}",
        lost_s=f"{LOST_S:g}",
        ping="\n".join(f"{name:7}{bytes(frame).hex(' ')}" for name, frame in zip(("kind", "header", "body"), frames, strict=True)),
        hello="\n".join(hello[start : start + 32].hex(" ") for start in range(0, len(hello), 32)),
        faults="\n".join(f"| `{code}` | {meaning} |" for code, meaning in FAULTS.items()),
        limits="\n".join(f"| {LIMITS[name]} | {getattr(Limits(), name)} |" for name in Limits.__struct_fields__),
        types="\n".join(f"| {name} | {_type(alias, named=False)} | {MEANINGS[name]} |" for name, alias in NAMED.items()),
    )


def _inside(roots: list[Any], left_out: list[Any]) -> list[Any]:
    """The structs that the fields of `roots` lead to, each once, as they are met."""
    found: list[Any] = []

    def visit(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            if hint in found:
                return
            if hint not in left_out:
                found.append(hint)
            for inner in get_type_hints(hint).values():
                visit(inner)
        for inner in get_args(hint):
            visit(inner)

    for root in roots:
        visit(root)
    return found


def _struct(struct: Any, kind: int | None = None) -> str:
    number = "" if kind is None else f"Kind {kind} (0x{kind:02x}). "
    lines = [f"### {struct.__name__}\n", f"{number}{inspect.getdoc(struct)}\n"]
    tag = struct.__struct_config__.tag
    hints = get_type_hints(struct, include_extras=True)
    rows = [f"| `type` | text, always `{tag}` | |"] if tag else []
    for field in msgspec.structs.fields(struct):
        rows.append(f"| `{field.encode_name}` | {_type(hints[field.name])} | {_default(field)} |")
    if rows:
        lines += ["| field | type | default |", "| --- | --- | --- |", *rows]
    else:
        lines.append("An empty map.")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    value = (
        field.default_factory() if field.default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT else field.default
    )
    if value is msgspec.NODEFAULT:
        return ""
    return "all defaults" if isinstance(value, msgspec.Struct) else f"`{msgspec.json.encode(value).decode()}`"


def _type(hint: Any, named: bool = True) -> str:
    """The type in words, with its bounds."""
    if named:
        for name, alias in NAMED.items():
            if hint == alias:
                return name
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type(arguments[0]) + "".join(_bounds(meta) for meta in arguments[1:] if isinstance(meta, msgspec.Meta))
    if origin is Literal:
        return "one of " + ", ".join(f'`"{value}"`' for value in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}" if arguments[-1] is Ellipsis else f"[{', '.join(map(_type, arguments))}]"
    if origin is dict:
        return f"map to {_type(arguments[1])}"
    if origin in (UnionType, typing.Union):
        return " or ".join(_type(argument) for argument in arguments)
    return PLAIN.get(hint) or f"[{hint.__name__}](#{hint.__name__.lower()})"


def _bounds(meta: msgspec.Meta) -> str:
    told = [
        (meta.ge, "at least {}"),
        (meta.gt, "above {}"),
        (meta.le, "at most {}"),
        (meta.min_length, "at least {} long"),
        (meta.max_length, "at most {} long"),
    ]
    bounds = [words.format(value) for value, words in told if value is not None]
    if meta.pattern is not None:
        bounds.append(f"`{meta.pattern.replace(chr(92) + 'Z', '$')}`")
    return f", {' and '.join(bounds)}" if bounds else ""


if __name__ == "__main__":
    write()
