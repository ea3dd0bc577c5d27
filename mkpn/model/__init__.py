"""The network of Fig. 1: its configuration, its layers, and the files that hold its weights.

May import: checks, whole_files.
"""
