"""Weights that measure hand motion before the training: a start for the network of Fig. 1, not another network.

May import: what training may import.
"""
