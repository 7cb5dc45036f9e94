"""The one exception that is meant for people."""


class UserError(Exception):
    """Something the user can mend, told in one sentence: what, which file or value, what to do.

    Whoever talks to the user (command line, page) shows the message alone; a traceback is for
    every other exception, because that one is ours.
    """
