"""Where things lie: every file and socket of an installation, derived from its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storage.reserve import Reserve

if TYPE_CHECKING:  # a relay, too, asks where things lie, and is to be there again at once
    from recorder.config import Config
    from storage import keyring as keyring_module


def catalogue(config: Config) -> Path:
    """The SQLite catalogue."""
    return config.storage.directory / "catalogue.db"


def reserve(config: Config) -> Reserve:
    """The room that is kept for a full disk."""
    return Reserve(config.storage.directory, config.storage.reserve)


def lock(config: Config) -> Path:
    """Held by the one service that runs on this storage: by capture, or by the supervisor for it."""
    return config.storage.directory / "service.lock"


def presence(runtime: Path, name: str) -> Path:
    """Held by the one process of this name, as long as it runs."""
    return runtime / f"{name}.lock"


def clips(config: Config) -> Path:
    """The sealed clips."""
    return config.storage.directory / "clips"


def recorder_key(config: Config) -> Path:
    """Ks, with which the recorder signs what it writes."""
    return config.storage.directory / "recorder.key"


def keyring(config: Config) -> keyring_module.Places:
    """The keys, in the words of the keyring."""
    from storage import keyring as keyring_module

    return keyring_module.Places(
        config.keys.directory, config.keys.epoch_key_directory, config.storage.directory
    )


def has_keystore(config: Config) -> bool:
    """Whether the set-up has made the keys."""
    return any(config.keys.directory.glob("keystore.*"))


def supervisor(config: Config) -> Path:
    """Where the supervisor answers."""
    return config.runtime.directory / "supervisor.sock"


def heartbeat(config: Config, process: str) -> Path:
    """Where the supervisor hears a process of its own."""
    return config.runtime.directory / f"{process}.beat"


def signalling(config: Config) -> Path:
    """Where the signalling process answers."""
    return config.runtime.directory / "signalling.sock"


def unfinished(config: Config) -> Path:
    """The calls that run."""
    return config.runtime.directory / "calls"


def media(config: Config) -> Path:
    """Where the media broker takes orders."""
    return config.runtime.directory / "media.sock"


def media_status(config: Config) -> Path:
    """Where the media broker answers."""
    return config.runtime.directory / "media-status.sock"


def relays(config: Config) -> Path:
    """Where the media broker hands a relay worker its orders and its ring."""
    return config.runtime.directory / "relays.sock"


def rings(config: Config) -> Path:
    """Where the media broker hands all rings to capture."""
    return config.runtime.directory / "rings.sock"


def capture(config: Config) -> Path:
    """Where the capture process takes orders."""
    return config.runtime.directory / "capture.sock"


def capture_status(config: Config) -> Path:
    """Where the capture process answers."""
    return config.runtime.directory / "capture-status.sock"


def purge(config: Config) -> Path:
    """Where the purge process answers."""
    return config.runtime.directory / "purge.sock"


def keys(config: Config) -> Path:
    """Where the key services answer."""
    return config.runtime.directory / "keys.sock"


def recorder_public_key(config: Config) -> Path:
    """The public half of Ks, with which anybody verifies what the recorder wrote."""
    return config.storage.directory / "recorder.key.pub"


def keys_control(config: Config) -> Path:
    """Where the keys process takes orders about itself."""
    return config.runtime.directory / "keys-admin.sock"


def token_key(config: Config) -> Path:
    """The secret behind the Contact tokens; it survives restarts, so that phones stay reachable."""
    return config.storage.directory / "contact-token.key"


def prepare_runtime(config: Config) -> None:
    """Make the runtime directory, for this user only."""
    config.runtime.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.runtime.directory.chmod(0o700)
