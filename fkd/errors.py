"""The one exception that users see as a sentence."""


class FkdError(Exception):
    """Something a user can mend; the message is one sentence that says what to do."""
