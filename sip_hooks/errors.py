"""What can go wrong with a SIP message, and whose fault it is.

No error text quotes received bytes: a private call's number must not reach a log by way of an exception.
"""

from __future__ import annotations


class SipError(Exception):
    """A SIP operation failed. ``fault`` says whose it is, ``remedy`` what to do about it."""

    fault = "unknown"

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


class MessageError(SipError):
    """The sender's fault: the bytes cannot be read as what they claim to be."""

    fault = "sender"

    def __init__(self, what: str, remedy: str = "drop it or answer 400") -> None:
        super().__init__(what, remedy)


class EditError(SipError):
    """Our fault: two edits contradict each other, or one would break the message's framing."""

    fault = "proxy"

    def __init__(self, what: str, remedy: str = "forward the message unedited and report the defect") -> None:
        super().__init__(what, remedy)
