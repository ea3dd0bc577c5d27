"""The Gradio app: settings and pictures in, one service call, markup out; nothing is loaded at import."""
