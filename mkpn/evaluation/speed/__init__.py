"""Time and memory of the local convolution, the networks and a training step: `python -m mkpn bench`.

May import: what evaluation may import.
"""
