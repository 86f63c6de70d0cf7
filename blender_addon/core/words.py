# SPDX-License-Identifier: GPL-3.0-or-later
"""Every sentence of core, as whole patterns in English; `ui` translates them by this text."""

from __future__ import annotations

from collections.abc import Callable

_translate: Callable[[str], str] = str


def use(translate: Callable[[str], str]) -> None:
    """From now on patterns pass through `translate` before they are filled in; `str` gives English again."""
    global _translate
    _translate = translate


def say(pattern: str, **values: object) -> str:
    """The pattern, translated and filled in. An empty pattern stays empty."""
    return _translate(pattern).format(**values) if pattern else ""


def pass_on(sentence: str) -> str:
    """A finished sentence of somebody else's (the server's, the host's), translated where it is known."""
    return _translate(sentence) if sentence else ""


def all_words() -> tuple[str, ...]:
    """All patterns, for the test that collects what must be translated."""
    found = [value for name, value in globals().items() if name.isupper() and isinstance(value, str)]
    for name, value in globals().items():
        if name.isupper() and isinstance(value, dict):
            found += value.values()
    return tuple(dict.fromkeys(found))


# The connection

LINK = {
    "off": "Not connected",
    "connecting": "Connecting",
    "handshaking": "Connected, asking what the server offers",
    "ready": "Connected to {server}",
    "lost": "Connection lost",
    "refused": "Connection refused",
}
LINK_REMEDY = {
    "off": "Press Connect.",
    "nothing_listening": "Start the server, or check the address.",
    "not_our_server": "Another program answers there: check the port.",
    "version": "Update the extension and the server to matching versions.",
    "unreachable": "Check the address and the network.",
    "silent": "Check the server, or press Connect to try at once.",
    "server_left": "Start the server again. Jobs go on where they were.",
    "address": "Correct the address.",
    "internal": "Press Connect to try again, and use Copy Report.",
}
RETRY_IN = "Next attempt in {seconds} s"
JOBS_GO_ON = "Jobs go on at the server meanwhile."
DEVICE_IDLE = "{device}: free"
DEVICE_BUSY = "{device}: busy"
DEVICE_OURS = "{device}: working for this Blender"
DEVICE_STARTING = "{device}: starting"
DEVICE_LOST = "{device}: gone, being started again"
DEVICE_MEMORY = "Memory of {device}: {free} of {total} free"
QUEUE = "{running} running, {queued} waiting on the server"
INTERNAL = "The extension stopped the connection after an error of its own."

ADDRESS_EMPTY = "The address is empty."
ADDRESS_WRONG = "'{text}' is not an address."
ADDRESS_PORT = "The port in '{text}' should be a number from 1 to 65535."
ADDRESS_HINT = "Enter a host, or host:port, such as 127.0.0.1:5577."
OFFLINE = "Blender is set to work offline, so only a server on this machine can be used."
OFFLINE_HINT = "Allow Online Access in Preferences, System, or use 127.0.0.1."
OFFLINE_FIXED = "Blender was started in offline mode, so only a server on this machine can be used."
OFFLINE_FIXED_HINT = "Start Blender without --offline-mode, or use 127.0.0.1; the preference cannot change it."
NOT_READY = "There is no connection to a server."
NOT_READY_HINT = "Press Connect."

# Settings

PROMPT_EMPTY = "The prompt is empty."
PROMPT_EMPTY_HINT = "Write what it should become, such as: a red flower."
PROMPT_LONG = "The prompt has {count} characters, but the server takes {limit}."
PROMPT_LONG_HINT = "Shorten it."
NOT_OFFERED = "This server has no {what} '{name}'."
NOT_OFFERED_HINT = "Choose another one in the Method panel."
MODE_HINT = "Choose another one in the Sketch panel."
WHAT = {"mode": "mode", "preset": "preset", "method": "method", "prior": "model"}
PARAMETER_UNKNOWN = "The method '{method}' has no setting '{name}'."
PARAMETER_UNKNOWN_HINT = "Choose the method again in the Method panel."
PARAMETER_RANGE = "'{name}' is {value}, but the server takes {low} to {high}."
PARAMETER_RANGE_HINT = "Change it in the Method panel."
PARAMETER_CHOICE = "'{name}' is '{value}', which this server does not offer."
FACES_MANY = "{count} faces are asked for, but the server makes at most {limit}."
TEXTURE_LARGE = "A texture of {count} pixels is asked for, but the server makes at most {limit}."
SMALLER_HINT = "Choose a smaller number in the Method panel."
SKETCH_EMPTY = "There is nothing to send."
SKETCH_EMPTY_HINT = "Select a mesh, a curve with a bevel, or Grease Pencil strokes."
SKETCH_FACES = "The sketch has {count} faces, but the server takes {limit}."
SKETCH_BYTES = "The sketch has {size}, but the server takes {limit}."
SKETCH_HINT = "Add a Decimate modifier, or select fewer objects."
MARKED = "{name} (not on this server)"
NOT_ON_SERVER = "Saved in this file, but the connected server does not have it"
NOT_CONNECTED = "Connect to see what the server offers"
BY_PRESET = "By Preset"
BY_PRESET_TIP = "The preset chooses the method of each stage"

# Jobs

PHASE = {
    "load": "Loading the model",
    "start": "Reading the sketch",
    "warm start": "First colours",
    "colour": "Painting",
    "shape": "Shaping",
    "grow": "Growing the shape",
    "finish": "Painting again on the new shape",
    "bridge": "Painting the details",
    "export": "Unwrapping and baking",
    "measure": "Checking the result",
}
STATE = {
    "uploading": "Sending the sketch",
    "queued": "Waiting for a free device",
    "preparing": "Getting ready",
    "running": "Working",
    "paused": "Paused",
    "finishing": "Finishing",
    "done": "Finished",
    "failed": "Failed",
    "cancelled": "Stopped",
}
UNTITLED = "Untitled"
TITLE = "{name}: {prompt}"
RUNNING_PHASE = "{phase}, step {step} of {steps}"
OWN_PHASE = "Working on '{phase}'"
SENDING = "Sending the sketch, {sent} of {total}"
NOT_SENT = "Waiting for the server to take it"
CUT_SHORT = "The sketch was not sent whole before the connection or Blender was closed."
CUT_SHORT_HINT = "Stop the job with Discard, and submit the sketch again."
NEXT = "Waiting, next in line"
BEFORE_ONE = "Waiting, 1 before it"
BEFORE = "Waiting, {place} before it"
PULLING = "Fetching the result, {received} of {total}"
PULL_STARTS = "Finished, fetching the result"
READY_TO_ACCEPT = "Finished, ready to accept"
ACCEPTED = "Accepted"
ACCEPTED_HERE = "Accepted into '{name}'"
NOT_TAKEN = "Not taken by the server"
FINDING = "Asking the server for it"
FIND_LATER = "From an earlier session: press Connect to find it again"
UNKNOWN = "This server does not know the job."
UNKNOWN_HINT = "Connect to the server that it was sent to, or remove it from the list."
DIED = "The job ended with an error."
DIED_HINT = "Press Retry, or use Copy Report."
WISH = {
    "pause": "Pausing",
    "resume": "Going on",
    "stop": "Stopping",
    "finish": "Stopping, keeping what exists",
    "steer": "Taking the new prompt",
    "retry": "Trying again",
}
ETA_SECONDS = "About {seconds} s left"
ETA_MINUTES = "About {minutes} min left"
ETA_HOURS = "About {hours} h {minutes} min left"
ETA_SOON = "Almost there"
LAST_HEARD = "Last heard of {age} ago"
SECONDS = "{n} s"
MINUTES = "{n} min"
HOURS = "{n} h"
ATTEMPT = "Attempt {attempt}: went on from its last safe point"
ON_DEVICE = "On {device}"
WARNING = "Warning: {text}"
OTHER_FILE = "Belongs to another file: accepting it here makes a new object."
NO_RECORD = "From an earlier session: accepting it puts it at the world origin."
NO_PREVIEW = "It has no preview in the scene. Press Show Preview to watch it."
PREVIEW_STAYS = "The preview stays until you press Remove."
STEERED = "It goes on as '{prompt}'."
PAUSED_NOTE = "Press Resume to go on, or change the prompt first."
KEEP_NOTE = "Press Accept to keep it, or Remove. The preview stays until then."
ACCEPT_NOTE = "Press Accept to keep it, or Remove."

WHY = {
    "no_job": "There is no such job.",
    "not_ready": "There is no connection to a server. Press Connect.",
    "not_sent": "The server has not taken the job yet.",
    "unknown": "This server does not know the job. Remove it from the list.",
    "wished": "The server has been asked already.",
    "ended": "The job has ended.",
    "not_ended": "The job still goes on. Stop it first.",
    "not_running": "Only a job that waits or runs can be paused.",
    "not_paused": "The job is not paused.",
    "not_failed": "Only a failed job can be tried again.",
    "not_retryable": "Trying again would fail in the same way. Change what the error names and submit anew.",
    "finishing": "The job is finishing already.",
    "not_steerable": "The prompt can be changed while the job waits, runs or is paused.",
    "not_begun": "There is nothing to keep yet. Use Discard.",
    "not_done": "The job has not finished yet.",
    "no_result": "The job left no result.",
    "fetching": "The result is still being fetched.",
    "half": "The result is not complete. Use Copy Report.",
    "has_preview": "The preview is in the scene already.",
    "no_preview": "The job has no preview in the scene.",
    "no_record": "Where the preview belongs is not known in this file.",
}

# Notes

RETURNED = "'{name}', from an earlier session, is here again."
FORGOTTEN = "'{name}', from an earlier session, is no longer on the server."
NO_LONGER_KEPT = "No record of that job is left."
NO_LONGER_KEPT_HINT = "Submit it again."
RECORD_FAILED = "The job was not sent, because its record could not be saved: {problem}."
RECORD_FAILED_HINT = "Check the space and the rights of Blender's user folder."
NOT_REMEMBERED = "'{name}' cannot be found again after Blender is closed: {problem}."

NO_OBJECT = "The object is no longer in this file."
NO_OBJECT_HINT = "Undo its deletion, or accept the job again."
NO_VERSION = "The object has no such version."
NO_VERSION_HINT = "Choose one from the list."

# Headless

TOO_SLOW = "The job has not ended within {seconds} s; it is '{state}'."
TOO_SLOW_HINT = "Wait longer, or look at the server."
NOT_HELD = "This session holds no job '{job}'."
NOT_HELD_HINT = "Submit it first."
