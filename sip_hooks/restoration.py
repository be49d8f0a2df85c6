"""Dialogs that outlive the process that saw them begin.

A pass is named by the token in our Record-Route, and the token carries what is needed to make the pass
again: the first request within the dialog after a restart does. What was known of the parties is lost, and
so are their descriptions until they describe themselves again; their media goes on through the same ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sip_hooks.call import Pass
from sip_hooks.dialog import Dialog, Party
from sip_hooks.dialog_token import NONCE, Crossing, DialogTokens
from sip_hooks.events import Anchor
from sip_hooks.message import Message
from sip_hooks.pass_table import PassTable
from sip_hooks.planning import Plan
from sip_hooks.registration import ContactTokens
from sip_hooks.routing import RouteSet
from sip_hooks.settings import EngineSettings, Listener


class Restorer:
    """Names passes on the wire, and makes them again. `anchors`: media that was there before us."""

    def __init__(self, settings: EngineSettings, passes: PassTable, new_id: Callable[[int], bytes]) -> None:
        self._dialogs = DialogTokens(settings.token_key, settings.pbx)
        self._contacts = ContactTokens(settings.token_key)
        self._passes = passes
        self._new_id = new_id
        self.anchors: Mapping[int, Anchor] = {}

    def name(self, call: Pass, plan: Plan) -> None:
        """Give a pass its token, when its media is known and its INVITE is about to leave."""
        anchor = call.negotiation.media
        media = anchor.reference if anchor else None
        crossing = Crossing((call.caller.side, plan.side), call.caller.source, plan.destination, media)
        token = self._dialogs.seal(crossing, call.call_id, call.caller.tag, self._new_id(NONCE))
        self._passes.name(call, token)

    def restore(self, request: Message, routes: RouteSet, listener: Listener) -> Pass | None:
        """Make the pass again to which a request within a dialog belongs; None when nothing is to be made.

        `media` of the pass is set when its media session is still there.
        """
        if not request.to_tag or not routes.token or self._passes.knows(routes.token):
            return None
        opened = self._dialogs.open(routes.token)
        sender = opened.sender_of(request) if opened else None
        if opened is None or sender is None:
            return None
        tags, listeners = (request.from_tag, request.to_tag), (listener, routes.exit or listener)
        if sender == "callee":
            tags, listeners = tags[::-1], listeners[::-1]
        (side, callee_side), crossing = opened.crossing.sides, opened.crossing
        caller = Party(side, tags[0], crossing.caller, listeners[0])
        callee = Party(callee_side, tags[1], crossing.callee, listeners[1])
        call = Pass(self._new_id(16).hex(), request, caller, callee_side, self._contacts)
        call.winner = call.dialogs[tags[1]] = Dialog(callee, None, is_answered=True)
        call.negotiation.media = None if crossing.media is None else self.anchors.get(crossing.media)
        self._passes.add(call)
        self._passes.name(call, routes.token)
        return call
