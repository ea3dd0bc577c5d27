"""The page: components, events, handlers, the public endpoints, and the style sheets and scripts they need.

May import: ui.run, ui.saved, ui.viewer.
"""
