"""Pictures and videos in, tables and annotated copies out."""
