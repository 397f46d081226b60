"""What differs between two configurations."""


def _flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def changed_settings(old, new, leave_out=("resume", "pretrained_path", "delay_hours", "no_progress_bar")):
    """Lines `key: old -> new` for settings, given as nested dicts, that differ; those that change no result are left out."""
    old, new = dict(_flat(old)), dict(_flat(new))
    return [
        f"{key}: {old.get(key)} -> {new.get(key)}"
        for key in dict.fromkeys((*old, *new))
        if key not in leave_out and old.get(key) != new.get(key)
    ]
