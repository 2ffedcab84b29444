"""What a shell completes: values that are known beforehand, without loading torch.

Names of commands, options and files, and values of options that list them, typer and the shell
complete by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

Items = list[tuple[str, str]]
"""Values that begin as asked for, each with its meaning."""

Named = list[str]

_DEVICES = ("auto", "cpu", "cuda")


def rules(incomplete: str) -> Items:
    """Codes of rules; of a list that is separated by commas the last."""
    from videoprep.validators.registry import registry

    done, comma, last = incomplete.rpartition(",")
    there = registry().rules.values()
    return [
        (f"{done}{comma}{rule.code}", rule.name)
        for rule in there
        if rule.code.startswith(last.upper())
    ]


def rule_or_name(incomplete: str) -> Items:
    """A rule's code, or its name where a name is begun."""
    from videoprep.validators.registry import registry

    there = registry().rules.values()
    if not incomplete or incomplete[:2].upper() == "VP":
        return rules(incomplete)
    return [(rule.name, rule.code) for rule in there if rule.name.startswith(incomplete)]


def profiles(incomplete: str) -> Items:
    """The default profile, and each family's."""
    from videoprep.families.registry import profiles as known

    return [
        (name, f"sides divisible by {profile.divisor}; {profile.frame_rule()} frames")
        for name, profile in known().items()
        if name.startswith(incomplete)
    ]


def targets(incomplete: str) -> Named:
    """What `videoprep export` writes for."""
    from videoprep.exporters.registry import MEDIA, exporters

    return _beginning(sorted([*exporters(), MEDIA]), incomplete)


def sources(incomplete: str) -> Named:
    """What `videoprep import` reads."""
    from videoprep.importers.run import IMPORTERS

    return _beginning(IMPORTERS, incomplete)


def devices(incomplete: str) -> Named:
    """Where it is computed."""
    return _beginning(_DEVICES, incomplete)


def _beginning(words: Iterable[str], incomplete: str) -> Named:
    return [word for word in words if word.startswith(incomplete)]
