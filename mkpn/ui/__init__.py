"""The Gradio app: settings and pictures in, one service call, markup out; nothing is loaded at import.

`run` < `saved` < `page` < `launch`, and `viewer` on its own. May import: everything below the app.
"""
