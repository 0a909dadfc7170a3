"""Handwritten digits with Flower, and updates that the server cannot read."""
