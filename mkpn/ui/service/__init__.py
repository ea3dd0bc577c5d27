"""What stands between the network and the page: options, the guard before every request, logins, logs, health, what
visitors leave behind.

May import: checks, device, ui.run.
"""
