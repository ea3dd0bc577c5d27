"""Names and passwords of those who may use the app, from a file or the environment."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from pathlib import Path

VARIABLE = "MKPN_LOGINS"


def login_check(file: Path | None) -> Callable[[str, str], bool] | None:
    """Returns what tells whether a name and a password belong together; None where anybody may come in.

    Args:
        file: lines `NAME:PASSWORD`; empty lines and lines that begin with `#` are left out. Without a file the
            variable `MKPN_LOGINS` is read, if it is there.

    Raises:
        ValueError: if the file cannot be read, or holds no login, or a line that is none. A file that was meant to
            close the app must never leave it open.
    """
    if file is None and VARIABLE not in os.environ:
        return None
    name = VARIABLE if file is None else f"auth_file {file.name}"
    try:
        text = os.environ[VARIABLE] if file is None else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: expected a text file that can be read ({type(error).__name__})") from error
    logins: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        # The line itself stays out of the message: it may be a password.
        if not (user.strip() and colon and password):
            raise ValueError(f"{name}, line {number}: expected NAME:PASSWORD, got another form")
        logins[user.strip()] = password
    if not logins:
        raise ValueError(f"{name}: expected at least one NAME:PASSWORD, got none")

    def check(user: str, password: str) -> bool:
        # An unknown name takes as long as a wrong password.
        known = hmac.compare_digest(logins.get(user, "").encode(), password.encode())
        return known and user in logins

    return check
