# SPDX-License-Identifier: GPL-3.0-or-later
"""German: labels and tooltips of the panel. The sentences of `core` are in `german_words`."""

from .german_words import WORDS

PANEL = {
    # Server
    "Server": "Server",
    "Off": "Aus",
    "Ready": "Bereit",
    "Connection Lost": "Verbindung verloren",
    "Not Connected": "Nicht verbunden",
    "Starting": "Startet",
    "Server Ended": "Server beendet",
    "Starting the server on this machine": "Der Server auf diesem Rechner wird gestartet",
    "The server on this machine has ended": "Der Server auf diesem Rechner wurde beendet",
    "See the log: Open Log in the Server panel": "Siehe Protokoll: „Protokoll öffnen“ im Bereich Server",
    "Connect": "Verbinden",
    "Connect to the server at the address given": "Mit dem Server an der angegebenen Adresse verbinden",
    "Disconnect": "Trennen",
    "Close the connection; jobs go on at the server": "Die Verbindung schließen; Aufträge laufen auf dem Server weiter",
    "Start Local Server": "Lokalen Server starten",
    "Start a server on this machine with the command from the preferences, and connect to it": (
        "Auf diesem Rechner einen Server mit dem Befehl aus den Einstellungen starten und sich mit ihm verbinden"
    ),
    "Stop Local Server": "Lokalen Server beenden",
    "End the server started here; its jobs can be resumed when it is started again": (
        "Den hier gestarteten Server beenden; seine Aufträge gehen weiter, wenn er wieder gestartet wird"
    ),
    "Start Server": "Server starten",
    "Stop Server": "Server beenden",
    "Release Memory": "Speicher freigeben",
    "Let idle devices of the server give their memory back, so that rendering can have it": (
        "Freie Geräte des Servers geben ihren Speicher zurück, damit das Rendern ihn nutzen kann"
    ),
    "Open Log": "Protokoll öffnen",
    "Open the folder that holds the log of this extension": "Den Ordner mit dem Protokoll dieser Erweiterung öffnen",
    "Show Earlier Jobs": "Frühere Aufträge zeigen",
    "List the jobs that were started from other files on this machine": (
        "Die Aufträge auflisten, die auf diesem Rechner aus anderen Dateien gestartet wurden"
    ),
    "Connect to a server first": "Zuerst mit einem Server verbinden",
    "The connection is open already": "Die Verbindung besteht schon",
    "There is no connection": "Es gibt keine Verbindung",
    "A server started here is running already": "Ein hier gestarteter Server läuft schon",
    "No server was started here": "Hier wurde kein Server gestartet",
    "There are no earlier jobs": "Es gibt keine früheren Aufträge",
    "Address": "Adresse",
    "Where the server listens: a host, a host with a port, or a full address": (
        "Wo der Server erreichbar ist: ein Rechner, ein Rechner mit Port oder eine volle Adresse"
    ),
    "Connect on Start": "Beim Start verbinden",
    "Connect to the server when Blender starts": "Beim Start von Blender mit dem Server verbinden",
    "Server Command": "Server-Befehl",
    "Command that starts a server on this machine": "Befehl, der auf diesem Rechner einen Server startet",
    # Sketch
    "SketchBridge": "SketchBridge",
    "Sketch": "Skizze",
    "Mode": "Modus",
    "What is sent to the server": "Was an den Server geht",
    "Refine the selected objects into one textured asset": "Aus den gewählten Objekten ein texturiertes Objekt machen",
    "Prompt Only": "Nur Text",
    "Create an asset at the 3D cursor from the prompt alone": "Am 3D-Cursor ein Objekt allein aus dem Text erzeugen",
    "Texture Only": "Nur Textur",
    "Paint the selected mesh and leave its shape alone": "Das gewählte Mesh bemalen und seine Form lassen, wie sie ist",
    "Size": "Größe",
    "Longest side of the new object": "Längste Seite des neuen Objekts",
    "New object at the 3D cursor": "Neues Objekt am 3D-Cursor",
    "Select a mesh, a curve or strokes": "Ein Mesh, eine Kurve oder Striche wählen",
    "{count:,} triangles": "{count:,} Dreiecke",
    "strokes": "Striche",
    "What it should become": "Was es werden soll",
    "1 stroke object": "1 Strichobjekt",
    "{count} stroke objects": "{count} Strichobjekte",
    "{count} objects": "{count} Objekte",
    "Select one mesh": "Ein Mesh wählen",
    "Select only one mesh": "Nur ein Mesh wählen",
    "{name}: {count:,} triangles": "{name}: {count:,} Dreiecke",
    "Gets a new material, keeps its shape": "Bekommt ein neues Material, behält seine Form",
    "New object: several objects become one": "Neues Objekt: mehrere Objekte werden eins",
    "New object, the strokes stay": "Neues Objekt, die Striche bleiben",
    "Replaces '{name}', the old mesh stays as a version": "Ersetzt „{name}“, das alte Mesh bleibt als Version",
    # Prompt
    "Prompt": "Text",
    "What it should become, for example: a red mug": "Was daraus werden soll, zum Beispiel: a red mug",
    "Insert Word": "Wort einfügen",
    "Words that the image model was trained on": "Wörter, mit denen das Bildmodell trainiert wurde",
    "Add this word to the prompt": "Dieses Wort an den Text anfügen",
    "Word": "Wort",
    "What to add": "Was angefügt wird",
    "Replace": "Ersetzen",
    "Use it in place of the whole prompt": "Statt des ganzen Textes verwenden",
    "Objects": "Objekte",
    "Colors": "Farben",
    "Patterns": "Muster",
    "This model takes any words": "Dieses Modell nimmt alle Wörter",
    "Examples": "Beispiele",
    "For example: {prompts}": "Zum Beispiel: {prompts}",
    "Connect to see the words it knows": "Verbinden, um bekannte Wörter zu sehen",
    # Keep
    "Keep": "Bewahren",
    "Vertex group whose vertices must not move": "Vertexgruppe, deren Punkte sich nicht bewegen dürfen",
    "Make Keep Group from Selection": "Gruppe aus Auswahl machen",
    "Keep the vertices that are selected in Edit Mode where they are": ("Die im Bearbeitungsmodus gewählten Punkte bleiben, wo sie sind"),
    "Invert Keep Group": "Gruppe umkehren",
    "Keep what was free, and free what was kept": "Bewahren, was frei war, und freigeben, was bewahrt wurde",
    "Clear Keep Group": "Gruppe leeren",
    "Keep nothing: every vertex may move again": "Nichts bewahren: jeder Punkt darf sich wieder bewegen",
    "Invert": "Umkehren",
    "Clear": "Leeren",
    "The whole shape is kept": "Die ganze Form wird bewahrt",
    "Nothing to keep: a new object is made": "Nichts zu bewahren: ein neues Objekt entsteht",
    "Select a mesh to keep parts of it": "Ein Mesh wählen, um Teile zu bewahren",
    "Select a mesh first": "Zuerst ein Mesh wählen",
    "This mesh is linked from another file": "Dieses Mesh ist aus einer anderen Datei verknüpft",
    "Use Object, Edit or Weight Paint Mode": "In den Objekt-, Bearbeitungs- oder Gewichtungsmodus wechseln",
    "Choose or make a keep group first": "Zuerst eine Gruppe wählen oder anlegen",
    "No vertex is selected. Select vertices in Edit Mode and press it again.": (
        "Kein Punkt ist gewählt. Im Bearbeitungsmodus Punkte wählen und noch einmal drücken."
    ),
    # Method
    "Method": "Verfahren",
    "Preset": "Vorlage",
    "Named recipe: how long a run takes and how far it goes": "Benanntes Rezept: wie lange ein Lauf dauert und wie weit er geht",
    "Gradient": "Gradient",
    "How the image model's judgement moves the surface": "Wie das Urteil des Bildmodells die Oberfläche bewegt",
    "Image Model": "Bildmodell",
    "Which image model judges the result": "Welches Bildmodell das Ergebnis beurteilt",
    "Freedom": "Freiheit",
    "How far the shape may leave the sketch: inwards in radii of its strokes, outwards in tens of grid cells": (
        "Wie weit die Form die Skizze verlassen darf: nach innen in Radien der Striche, nach außen in je zehn Gitterzellen"
    ),
    "Seed": "Startzahl",
    "Another number gives another variant; the same one repeats a run": (
        "Eine andere Zahl ergibt eine andere Variante; dieselbe wiederholt einen Lauf"
    ),
    "New Seed": "Neue Startzahl",
    "Choose another seed, for another variant of the same prompt": "Eine andere Startzahl für eine andere Variante desselben Textes",
    "Steps": "Schritte",
    "Steps (Preset)": "Schritte (Vorlage)",
    "Length of the run; 0 leaves it to the preset": "Länge des Laufs; 0 überlässt sie der Vorlage",
    "Faces": "Flächen",
    "Largest number of triangles in the result": "Größte Zahl von Dreiecken im Ergebnis",
    "Texture": "Textur",
    "Width and height of the textures in pixels": "Breite und Höhe der Texturen in Pixeln",
    "Symmetric": "Symmetrisch",
    "Looks the same from all sides: no view words": "Sieht von allen Seiten gleich aus: keine Wörter für Ansichten",
    "Front": "Vorne",
    "Turn the side that the prompt calls the front: 0 looks along Y as in the Front view": (
        "Die Seite drehen, die der Text vorne nennt: 0 blickt entlang Y wie in der Vorderansicht"
    ),
    "Value": "Wert",
    "Value of this parameter": "Wert dieser Einstellung",
    "Reset to Default": "Zurücksetzen",
    "Use the server's default for this value": "Die Voreinstellung des Servers für diesen Wert verwenden",
    "Parameter": "Einstellung",
    "Which value": "Welcher Wert",
    "The method has no value '{name}'.": "Das Verfahren hat keinen Wert „{name}“.",
    # Run
    "Run": "Lauf",
    "Job": "Auftrag",
    "Which job": "Welcher Auftrag",
    "Refine Sketch": "Skizze verfeinern",
    "Create from Prompt": "Aus Text erzeugen",
    "Texture Mesh": "Mesh texturieren",
    "Send the selection and the prompt to the server and watch the result grow in place": (
        "Auswahl und Text an den Server senden und dem Ergebnis an Ort und Stelle zusehen"
    ),
    "Type what it should become in the Prompt panel": "Im Bereich Text eingeben, was daraus werden soll",
    "Press Tab to go back to Object Mode first": "Mit Tab zuerst in den Objektmodus zurückgehen",
    "Select one mesh first": "Zuerst ein Mesh wählen",
    "Select a mesh, a curve or strokes first": "Zuerst ein Mesh, eine Kurve oder Striche wählen",
    "There is no job yet": "Es gibt noch keinen Auftrag",
    "Pause": "Pause",
    "Hold this job and free its device": "Diesen Auftrag anhalten und sein Gerät freigeben",
    "Resume": "Fortsetzen",
    "Let this job go on": "Diesen Auftrag weiterlaufen lassen",
    "Stop": "Stopp",
    "End this job": "Diesen Auftrag beenden",
    "How": "Wie",
    "What becomes of the job": "Was aus dem Auftrag wird",
    "Keep What Exists": "Bisheriges behalten",
    "Stop here and make an asset of what there is": "Hier aufhören und aus dem, was da ist, ein Objekt machen",
    "Discard": "Verwerfen",
    "Stop here and keep nothing": "Hier aufhören und nichts behalten",
    "Steer": "Lenken",
    "Give this job the prompt typed beside the button": "Diesem Auftrag den Text neben dem Knopf geben",
    "What the job should become": "Was aus dem Auftrag werden soll",
    "New Prompt": "Neuer Text",
    "What this job should become from here on": "Was aus diesem Auftrag von hier an werden soll",
    "Retry": "Wiederholen",
    "Run it again from where it was saved last": "Von der letzten gesicherten Stelle an wiederholen",
    "Remove": "Entfernen",
    "Remove Job": "Auftrag entfernen",
    "Take this job off the list, with its preview and its files at the server": (
        "Diesen Auftrag von der Liste nehmen, mit seiner Vorschau und seinen Dateien auf dem Server"
    ),
    "Show Colors": "Farben zeigen",
    "Show the colors of previews and results in this viewport, without leaving solid shading": (
        "Die Farben von Vorschauen und Ergebnissen in dieser Ansicht zeigen, ohne die einfache Schattierung zu verlassen"
    ),
    "This view shows all colors already": "Diese Ansicht zeigt schon alle Farben",
    "Show Preview": "Vorschau zeigen",
    "Show in the viewport how this job is going, and hide the sketch": (
        "Im Ansichtsfenster zeigen, wie der Auftrag vorankommt, und die Skizze verbergen"
    ),
    "Hide Preview": "Vorschau verbergen",
    "Show the sketch again; the job goes on": "Die Skizze wieder zeigen; der Auftrag läuft weiter",
    "Copy Report": "Bericht kopieren",
    "Copy everything that helps to find a fault, without names, keys and paths": (
        "Alles kopieren, was beim Finden eines Fehlers hilft, ohne Namen, Schlüssel und Pfade"
    ),
    "There is nothing to report yet": "Es gibt noch nichts zu berichten",
    "The report is on the clipboard": "Der Bericht liegt in der Zwischenablage",
    "Accept Result": "Ergebnis annehmen",
    "Put the result into the scene; what was there stays as a version": (
        "Das Ergebnis in die Szene setzen; was vorher da war, bleibt als Version"
    ),
    "Not carried over: {names}": "Nicht übernommen: {names}",
    # Versions
    "Versions": "Versionen",
    "Version": "Version",
    "Number in the list; 0 is what was drawn": "Nummer in der Liste; 0 ist, was gezeichnet wurde",
    "Accepted results are kept here": "Angenommene Ergebnisse stehen hier",
    "Revert": "Zurück",
    "Revert to Version": "Zu Version zurück",
    "Show this version of the object again; the others stay in the list": (
        "Diese Version des Objekts wieder zeigen; die anderen bleiben in der Liste"
    ),
    "Pin Version": "Version anheften",
    "Keep this version when the list grows too long, or let it go again": (
        "Diese Version behalten, wenn die Liste zu lang wird, oder wieder freigeben"
    ),
    "{name} (check the kept part)": "{name} (Bewahrtes prüfen)",
    "Select an object first": "Zuerst ein Objekt wählen",
    "Leave the editing mode first": "Zuerst den Bearbeitungsmodus verlassen",
    "This object has no versions yet": "Dieses Objekt hat noch keine Versionen",
}

LABELS = WORDS | PANEL


def made() -> dict[tuple[str, str], str]:
    """Every text in both contexts: Blender looks button names up as "Operator", the rest as "*"."""
    return {(context, english): german for english, german in LABELS.items() for context in ("*", "Operator")}
