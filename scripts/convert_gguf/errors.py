"""What ends a conversion: one line and the program's exit code for it."""

USAGE, BAD_INPUT, RESOURCES = 2, 3, 4


class Refused(Exception):
    """A file that cannot be converted. `code` is the exit code, its text the whole message in one line."""

    def __init__(self, message, code=BAD_INPUT):
        super().__init__(message)
        self.code = code


def printable(text, most=80):
    """Text out of a file as it may stand in a message: no line ends or terminal codes, not endless."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text)[:most])
    return shown + ("…" if len(str(text)) > most else "")
