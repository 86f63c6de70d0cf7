"""The library that draws assets on the page: three.js with its glTF reader, as trimesh ships it inside its own viewer."""

import io
import zipfile

import trimesh

from backend.errors import ResourceError

LICENCE = "three.js, MIT licence, copyright 2010-2022 three.js authors; as shipped with trimesh"
_TEMPLATE, _MEMBER = "templates/viewer.zip", "viewer.html.template"
_BEGIN, _END = "<script>", "THREE.GLTFLoader=GLTFLoader;})();"


def library_text() -> str:
    """JavaScript that defines THREE with THREE.GLTFLoader, licence notice included; about 0.7 MB.

    Errors: ResourceError where the installed trimesh ships it in another way.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(trimesh.resources.get_bytes(_TEMPLATE))) as packed:
            text = packed.read(_MEMBER).decode()
        begin = text.index(_BEGIN) + len(_BEGIN)
        script = text[begin : text.index(_END) + len(_END)]
    except (OSError, KeyError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ResourceError(f"trimesh {trimesh.__version__} ships no viewer that is known here.", "Install trimesh 5.2.") from error
    if "</script" in script or "SPDX-License-Identifier: MIT" not in script:
        raise ResourceError(f"trimesh {trimesh.__version__} ships another viewer than the one known here.", "Install trimesh 5.2.")
    return script
