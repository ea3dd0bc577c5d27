"""The Gradio app: settings and pictures in, one service call, markup out; nothing is loaded at import.

`run` < `saved`, `service`, `explorer` < `page` < `launch`, and `viewer` < `explorer`.

May import: everything below the app.
"""
