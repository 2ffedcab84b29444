"""`validator`: a rule from one function, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator
from videoprep.validators.registry import register

Check = Callable[[Subject], "Iterable[str | tuple[str, str]] | str | None"]


def validator(
    code: str,
    *,
    name: str | None = None,
    severity: Severity | str = Severity.WARNING,
    needs: Iterable[Need | str] = (Need.CAPTION,),
    remedy: str = "",
) -> Callable[[Check], type[Validator]]:
    """Makes a rule of a function, and uses it from now on in this process.

    The function gets a `Subject` and returns or yields what is wrong: messages, or pairs of
    message and remedy. Its docstring is the rule's summary. Defining a rule again, as a notebook
    does, replaces it.

    Args:
        code: letters of one's own and three digits, such as ``NB001``.
        name: the function's name by default.
        severity: ``error``, ``warning`` or ``note``.
        needs: what it looks at, such as ``["caption", "header", "plan"]``.
        remedy: what to do, where the function does not say it.

    Raises:
        ValueError: the code is no code, or is a built-in rule's.
    """

    def make(function: Check) -> type[Validator]:
        def check(rule: Validator, subject: Subject) -> Iterator[Finding]:
            found = function(subject)
            for item in [found] if isinstance(found, str) else found or ():
                message, advice = (item, None) if isinstance(item, str) else item
                yield rule.finding(subject, message, advice)

        lines = (function.__doc__ or function.__name__).strip().splitlines()
        members: dict[str, Any] = {
            "code": code,
            "name": name or function.__name__.strip("_").replace("_", "-").lower(),
            "summary": lines[0],
            "remedy": remedy,
            "severity": Severity(severity),
            "needs": frozenset(Need(need) for need in needs),
            "check": check,
            "__doc__": function.__doc__,
            "__module__": function.__module__,
        }
        rule = type(function.__name__, (Validator,), members)
        register(rule)
        return rule

    return make
