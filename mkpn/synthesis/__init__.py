"""A clean photograph becomes a noisy, displaced burst (section 3.1): images, motion, noise, bursts, data sets.

May import: checks, whole_files.
"""
