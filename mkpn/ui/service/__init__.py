"""What stands between the network and the page: options, the guard before every request, logins, logs, health.

May import: checks, ui.run.
"""
