"""Where a network looks, and which faces it finds alike."""
