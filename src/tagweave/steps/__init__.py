"""One file per step of the main job; every step reads files and writes files in the run folder."""
