"""K0, the epoch keys: whoever holds them decides what of the keystore can ever be opened again.

The embedded provider keeps one file per epoch in a directory of its own. Destroying the file is what makes
every copy of the keystore of that epoch unreadable, as long as the directory itself is in no copy.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.durable import erase_file, make_directory, replace_file
from storage.errors import Corrupt, NotFound, Unavailable
from storage.signing import read_secret

GONE = "not found"
_NAME = re.compile(r"epoch\.([0-9]+)(\.new)?")
_NONCE_BYTES = 12


class EpochKeys(Protocol):
    """What the keystore needs of a provider. `statement` says in words what its deletion is worth."""

    name: str
    statement: str

    def epochs(self) -> set[int]:
        """The epochs of which there is a key, or a piece of one."""

    def make(self, epoch: int) -> None:
        """Draw the key of an epoch that no keystore uses yet; durable on return."""

    def seal(self, epoch: int, secret: bytes) -> bytes:
        """Encrypt `secret` under the key of `epoch`."""

    def open(self, epoch: int, sealed: bytes) -> bytes:
        """The reverse. Raises NotFound when the key is gone, Corrupt when it is another."""

    def destroy(self, epoch: int) -> None:
        """Destroy the key of `epoch`; one that is gone already is no error. Raises Unavailable."""

    def answer(self, epoch: int) -> str:
        """What the provider says when it is asked for the key of `epoch`: GONE, or "present"."""


class FileEpochKeys:
    """`epoch.<n>`, 32 random bytes each, 0600."""

    name = "file"
    statement = "logical deletion; remanence on the medium not excluded"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def epochs(self) -> set[int]:
        try:
            names = [path.name for path in self._directory.iterdir()]
        except OSError as error:
            raise Unavailable(
                f"list the epoch keys in {self._directory}", f"make it reachable ({error.strerror})"
            ) from error
        return {int(match[1]) for name in names if (match := _NAME.fullmatch(name))}

    def make(self, epoch: int) -> None:
        make_directory(self._directory)
        replace_file(self._path(epoch), secrets.token_bytes(32))

    def seal(self, epoch: int, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key(epoch)).encrypt(nonce, secret, _bound_to(epoch))

    def open(self, epoch: int, sealed: bytes) -> bytes:
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(self._key(epoch)).decrypt(nonce, ciphertext, _bound_to(epoch))
        except (InvalidTag, ValueError) as error:
            raise Corrupt(
                f"open the keystore of epoch {epoch}", "the epoch key is not the one it was sealed under"
            ) from error

    def destroy(self, epoch: int) -> None:
        path = self._path(epoch)
        erase_file(path)
        erase_file(path.with_name(path.name + ".new"))

    def answer(self, epoch: int) -> str:
        return "present" if epoch in self.epochs() else GONE

    def _key(self, epoch: int) -> bytes:
        key = read_secret(self._path(epoch))
        if len(key) != 32:
            raise NotFound(f"read the epoch key {epoch}", "it was erased or cut; nothing opens this epoch")
        return key

    def _path(self, epoch: int) -> Path:
        return self._directory / f"epoch.{epoch}"


def _bound_to(epoch: int) -> bytes:
    return f"doelband/epoch/1/{epoch}".encode()
