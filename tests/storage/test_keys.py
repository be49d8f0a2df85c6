"""Wraps: two locks, both bound to one header. And signatures, bound to one use."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from storage import keys, signing
from storage.errors import Conflict, Corrupt, Forgery, NotFound, Unavailable

DAY, PURPOSE, OTHER = keys.new_private(), keys.new_private(), keys.new_private()
K2, H, OTHER_H = bytes(range(32)), bytes(64), b"\1" * 64
WRAP = keys.wrap(K2, keys.public_of(PURPOSE), keys.public_of(DAY), H)


def test_both_keys_together_open_a_wrap() -> None:
    assert keys.unwrap_purpose(keys.unwrap_day(WRAP, DAY, H), PURPOSE, H) == K2
    assert len(WRAP) == keys.WRAP_BYTES == 161


def test_one_layer_alone_shows_nothing() -> None:
    assert K2 not in WRAP
    assert K2 not in keys.unwrap_day(WRAP, DAY, H)


@pytest.mark.parametrize(("private", "h"), [(OTHER, H), (PURPOSE, H), (DAY, OTHER_H)])
def test_the_day_layer_opens_for_its_day_and_header_only(private: bytes, h: bytes) -> None:
    with pytest.raises(keys.WrapFailure):
        keys.unwrap_day(WRAP, private, h)


@pytest.mark.parametrize(("private", "h"), [(OTHER, H), (DAY, H), (PURPOSE, OTHER_H)])
def test_the_purpose_layer_opens_for_its_purpose_and_header_only(private: bytes, h: bytes) -> None:
    with pytest.raises(keys.WrapFailure):
        keys.unwrap_purpose(keys.unwrap_day(WRAP, DAY, H), private, h)


def test_another_purpose_fails_by_its_key_and_not_by_the_id_alone() -> None:
    """The id in front could be rewritten by who has the day key; the seal could not."""
    inner = keys.unwrap_day(WRAP, DAY, H)
    relabelled = bytes.fromhex(keys.public_of(OTHER).key_id) + inner[16:]
    with pytest.raises(keys.WrapFailure):
        keys.unwrap_purpose(relabelled, OTHER, H)


def test_every_change_of_a_wrap_is_refused() -> None:
    for at in range(len(WRAP)):
        for changed in (WRAP[:at] + bytes([WRAP[at] ^ 1]) + WRAP[at + 1 :], WRAP[:at]):
            with pytest.raises(keys.WrapFailure):
                keys.unwrap_purpose(keys.unwrap_day(changed, DAY, H), PURPOSE, H)


def test_every_change_of_an_inner_layer_is_refused() -> None:
    inner = keys.unwrap_day(WRAP, DAY, H)
    for at in range(len(inner)):
        for changed in (inner[:at] + bytes([inner[at] ^ 1]) + inner[at + 1 :], inner[:at]):
            with pytest.raises(keys.WrapFailure):
                keys.unwrap_purpose(changed, PURPOSE, H)


def test_a_signature_holds_for_its_label_message_and_key_only() -> None:
    private, stranger = signing.generate(), signing.generate()
    public = signing.public_bytes(private)
    signature = signing.sign(private, "use", b"message")
    signing.verify(public, "use", b"message", signature)
    for wrong in (
        (signing.public_bytes(stranger), "use", b"message", signature),
        (public, "other", b"message", signature),
        (public, "use", b"massage", signature),
        (public, "use", b"message", signature[:-1]),
        (b"short", "use", b"message", signature),
    ):
        with pytest.raises(Forgery):
            signing.verify(*wrong)


def test_public_keys_are_written_and_read_as_text() -> None:
    public = signing.public_bytes(signing.generate())
    assert signing.parse_public(signing.public_text(public) + "\n") == public
    for wrong in ("", "ed25519:", "ed25519:AAAA", signing.public_text(public)[8:], "ed25519:!!!"):
        with pytest.raises(ValueError, match="ed25519"):
            signing.parse_public(wrong)


def test_a_private_key_is_kept_for_its_owner_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "ks.key"
    made = signing.create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing.public_bytes(signing.load_key(path)) == signing.public_bytes(made)
    with pytest.raises(Conflict):
        signing.create_key(path)


def test_a_bad_key_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ks.key"
    with pytest.raises(NotFound):
        signing.load_key(path)
    path.touch(0o600)
    with pytest.raises(Corrupt):
        signing.load_key(path)
    pem = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem)
    with pytest.raises(Corrupt):
        signing.load_key(path)
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="chmod"):
        signing.load_key(path)
