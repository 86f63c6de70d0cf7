"""What crosses the wire: job descriptions and errors. Imports neither torch nor bpy."""
