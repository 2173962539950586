"""Faces drawn on images."""
