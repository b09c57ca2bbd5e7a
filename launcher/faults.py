"""Wrong settings in one line."""

from pydantic import ValidationError


def settings_fault(error: ValidationError) -> str:
    """The faults of settings, each with the name that was set and never with its value, which may be a secret."""
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return f"settings are wrong ({error.title}): {'; '.join(faults)}"
