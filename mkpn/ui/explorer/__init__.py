"""The kernel explorer: why a pixel looks as it does, shown on a run that has been made (README.md in this folder).

May import: everything below ui, ui.run, ui.viewer.
"""
