"""The user's cache directory: content-addressed, atomic, safe under two processes."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs


def cache_directory() -> Path:
    """Where expensive results are kept: `$POLYROT_CACHE`, or the platform's cache folder."""
    override = os.environ.get("POLYROT_CACHE")
    # Absolute: worker processes may run in another folder.
    return Path(override).absolute() if override else Path(platformdirs.user_cache_dir("polyrot"))


def content_key(what: Mapping[str, Any]) -> str:
    """Hash everything that determines a result to a short file name."""
    text = json.dumps(what, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
