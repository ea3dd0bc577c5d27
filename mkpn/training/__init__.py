"""Training: settings, data on the way to the network, loss, optimiser, the loop, its journal.

May import: checks, whole_files, geometry, metrics, device, distributed, model, synthesis, ops, inference, figures.
"""
