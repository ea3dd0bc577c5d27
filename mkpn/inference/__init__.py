"""A trained network denoises a burst of any size within a memory budget. May import: device, model, synthesis, ops."""
