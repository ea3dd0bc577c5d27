"""A trained network denoises a burst of any size within a memory budget.

May import: checks, geometry, device, model, synthesis, ops.
"""
