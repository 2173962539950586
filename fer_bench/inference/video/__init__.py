"""Videos: their frames and times, sound, annotated copies, and the faces in them."""
