"""Why a pixel looks as it does: the kernels that made it, read from what the networks really predicted.

`kernels` reads the kernels of one pixel, `statistics` describes them, `rebuild` adds weight times value up to the
pixel, `coefficients` are those of all cells, `estimates` recomposes the picture from some sizes and frames, `maps`
describes the kernels of every cell, `regions` sorts pixels into flat, edge and texture, `winners` says which model is
best where, `places` which spots are worth a look, `oracle` averages the frames that are truly aligned. `study`
measures one picture, `figures` draws it (README.md in this folder).

May import: checks, geometry, metrics, model, synthesis, ops, inference, figures.
"""

from mkpn.explain.kernels import PixelKernels, fuse, probe

__all__ = ["PixelKernels", "fuse", "probe"]
