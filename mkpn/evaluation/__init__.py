"""Measurements: Table 1 on any folder of images, classical baselines, reports.

May import: everything but ui.
"""
