"""Objects built by code: primitive lists with captions, their renders and their meshes."""
