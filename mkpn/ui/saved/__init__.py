"""A view of a run as data: a JSON file, an address, a figure for a paper.

May import: ui.run and what it may import.
"""
