"""Photographs of one scene become a burst: raw files, alignment, noise, and what can be said without a ground truth.

May import: checks, synthesis.
"""
