"""One run of the app without Gradio: the picture, what was asked for, the models, their results as files.

May import: everything but ui.
"""
