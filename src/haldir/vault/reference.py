"""What a secret may be called, and how it is referred to: `${secret:NAME}`.

Published clients put the name into a path as it is, so it is one segment of a path; nothing in it needs an escape in
JSON either, so a reference is the same bytes wherever it stands.
"""

import re

REFERENCE_OPENING, REFERENCE_CLOSING = "${secret:", "}"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,127}")


def is_secret_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def reference(name: str) -> str:
    """Return what stands for a secret in the arguments of a call."""
    return f"{REFERENCE_OPENING}{name}{REFERENCE_CLOSING}"
