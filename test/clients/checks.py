"""What the scripts of this folder share: the service that they call, and how their checks run.

    SCRIPT.py <base URL> <API key>

A script prints one line per check, and exits with 1 if any failed.
"""

import sys
from typing import Callable

base_url, api_key = sys.argv[1:]
model = "chat-model"

checks: dict[str, Callable[[], None]] = {}


def check(function):
    """Marks a function as a check."""
    checks[function.__name__] = function
    return function


def run_checks():
    failed = 0
    for name, function in checks.items():
        try:
            function()
            print(f"ok: {name}")
        except Exception as error:  # noqa: BLE001 - every check is reported
            failed += 1
            print(f"failed: {name}: {type(error).__name__}: {error}")
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)
