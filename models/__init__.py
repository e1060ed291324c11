"""Engines and their model files. Imports nothing of ours."""
