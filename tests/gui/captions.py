"""The words of the tutorial: what stands above each picture, by the name of the step. Steps without words are checked, not shown."""

TITLE = "From a scribble to a flower"

INTRODUCTION = """You draw a few strokes, say what they are, and watch them grow into a textured asset, in your scene and where you drew
them. This page goes that way once; it takes a few minutes, on an ordinary computer without a graphics card too.

Before you begin: install the extension's zip (*Edit > Preferences > Get Extensions > Install from Disk*). A server does the heavy work, on
this machine; `sketchbridge serve` starts one, and so does *Start Server* in the panel."""

END = """---

The pictures are of a real Blender window: `pytest tests/gui/test_tutorial.py --tutorial docs` goes this way by mouse and keyboard, checks
after each step what Blender holds, and writes the page."""

CAPTIONS = {
    "tab": """**Find it.** Press **N** in the 3D viewport and open the *SketchBridge* tab. (**Ctrl+Space** gives the viewport the whole
window.) The panels stand in the order of work: the server, what you drew, what it shall become, what must stay, and the run.""",
    "nothing-listening": """**If nobody answers,** the *Server* panel says so, with the address it tried and what to do about it. It keeps
trying by itself. Here we type the right address and press *Connect*; the header turns to *Ready*, and the panel can be closed.""",
    "drawn": """**Draw.** Delete the cube, look from the front (**Numpad 1**), add a Grease Pencil (**Shift+A**, type *grease*, Enter), go
to Draw Mode (**Ctrl+Tab**) and make the pencil thick (**F**). Then scribble: petals, a heart, a stem, two leaves. Rough is fine. Meshes and
curves work as well, alone or together.""",
    "words": """**Say what it is.** Back in Object Mode, type a prompt: *a red flower*. The plus beside it lists the words that this image
model knows best.""",
    "painting": """**Press *Refine Sketch*.** Your strokes become one solid shape at once, then the painting begins. The row tells what is
going on and how long it will take, and *Show Colors* shows the colors without leaving solid shading. Blender is never kept waiting: go on
working, save, even close it.""",
    "shaping": """**Watch it grow.** After the first colors the shape itself moves: petals swell, joints close. No stroke gets lost; how far
the shape may leave your drawing is *Freedom* in the *Method* panel.""",
    "steered": """**Change your mind.** *Pause* holds the run and frees the machine, for a render or for lunch. Type another prompt in the
row, press *Steer*, then *Resume*: it goes on from here, towards the new words.""",
    "accepted": """**Accept it.** The asset stands where the strokes were, with a material and with its textures packed into the file, ready
to be turned, lit and rendered. The strokes are hidden, not gone.""",
    "versions": """**Nothing is lost.** Accepting is one step for **Ctrl+Z**. And the *Versions* panel keeps what you drew beside what came
of it: *Revert* goes back to the strokes, and forth again, even after the file was closed.""",
    "beside": """**Or draw nothing at all.** *Prompt Only* makes an asset from words alone and puts it at the 3D cursor (**Shift** and the
right mouse button place it). It need not run to its end: *Stop > Keep What Exists* makes an asset of what there is.""",
}
