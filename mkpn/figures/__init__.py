"""Pictures for people, made from arrays and figures alone: kernels, Table 1, comparisons, learning curves.

May import: checks, geometry, metrics, methods, paper, model, synthesis, capture.
"""
