"""Records of systems that were not trained here: networks run as they are, and given answers."""
