"""The page: components, events, handlers, the public endpoints, and the style sheets and scripts they need.

May import: everything below ui, ui.run, ui.saved, ui.viewer, ui.explorer, ui.service.
"""
