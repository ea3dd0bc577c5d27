"""The comparison viewer: one Gradio component with its own HTML, style sheets and scripts.

May import: geometry.
"""
