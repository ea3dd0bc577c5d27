"""Measurements: Table 1 on any folder of images, classical baselines, reports; what `denoise` writes; `verify`, speed.

May import: everything but ui.
"""
