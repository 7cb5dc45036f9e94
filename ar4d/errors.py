"""The one exception that is meant for people."""


class UserError(Exception):
    """Something the user can mend, in one sentence: what was wrong, with which file or value, what to do.

    The command line and the page show the message alone; a traceback is for
    every other exception, because that one is ours.
    """
