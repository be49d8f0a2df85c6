"""The PBX's feature codes, ours, and the permitted conference rooms in the configuration file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from recorder.config.values import Section, Texts, like, to_pause, to_tuple
from recorder.feature_codes import FeatureCodes

_LONGEST_WAIT = 30
_Keys = Annotated[str, like(r"[0-9*#A-D]{1,8}", "1 to 8 keys: digits, *, #, A to D")]
_Codes = Annotated[tuple[_Keys, ...], BeforeValidator(to_tuple)]
_Dialled = Annotated[str, like(r"[0-9*#A-D]{1,8}|[0-9]{2,8}-[0-9]{2,8}", "1 to 8 keys, or a range 701-720")]
_Places = Annotated[tuple[_Dialled, ...], BeforeValidator(to_tuple)]


class FeatureCodesSection(Section):
    """What is dialled: `pickup`, `park` and `retrieve` by themselves, the others before a number. What is
    pressed during a call: `transfer` and those after it. `key_seconds`: see FeatureCodes.
    """

    pickup: _Places = Field(default=(), examples=['pickup = ["*8"]'])
    directed_pickup: _Codes = Field(default=(), examples=['directed_pickup = ["**"]'])
    park: _Places = Field(default=(), examples=['park = ["700"]'])
    retrieve: _Places = Field(default=(), examples=['retrieve = ["701-720"]'])
    intercom: _Codes = Field(default=(), examples=['intercom = ["*80"]'])
    forward: _Codes = Field(default=(), examples=['forward = ["*72", "*73"]'])
    transfer: _Codes = Field(default=(), examples=['transfer = ["##"]'])
    attended_transfer: _Codes = Field(default=(), examples=['attended_transfer = ["*2"]'])
    park_call: _Codes = Field(default=(), examples=['park_call = ["#72"]'])
    other_keys: _Codes = Field(default=(), examples=['other_keys = ["*3"]'])
    key_seconds: int = Field(default=3, ge=1, le=_LONGEST_WAIT, examples=["key_seconds = 3"])

    def values(self) -> FeatureCodes:
        return FeatureCodes(**self.model_dump())


_Code = Annotated[str, like(r"[0-9*#A-D]{2,8}", "2 to 8 keys: digits, *, #, A to D")]


class Pause(Section):
    """What an agent presses before card data, and after it. `limit`: a pause ends by itself then."""

    code: _Code | None = Field(default=None, examples=['code = "*78"'])
    resume_code: _Code | None = Field(default=None, examples=['resume_code = "*79"'])
    limit: Annotated[timedelta, BeforeValidator(to_pause)] = Field(
        default=timedelta(minutes=3), examples=['limit = "180 s"']
    )


class OnDemand(Section):
    """What an agent presses to have a call recorded for the purposes on demand."""

    code: _Code | None = Field(default=None, examples=['code = "*76"'])


class Private(Section):
    """What an agent dials before a private call, and what it presses when one has become private."""

    prefix: Annotated[str, like(r"[0-9*#]{1,8}", "1 to 8 digits, * or #")] = Field(
        examples=['prefix = "*31"']
    )
    in_call_code: _Code | None = Field(default=None, examples=['in_call_code = "*77"'])


class Conferences(Section):
    """`rooms`: the conference rooms in which everybody may be recorded."""

    rooms: Texts = Field(default=(), examples=['rooms = ["800"]'])
