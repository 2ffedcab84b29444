"""VP901 to VP903: rules of third parties that cannot do their work."""

from __future__ import annotations

from videoprep.errors import Code
from videoprep.validators.protocol import ReaderRule

_WHY = "A rule that does not run finds nothing: the dataset would look cleaner than it is."


class PluginBroken(ReaderRule):
    """It cannot be imported, or is no rule."""

    code = Code.PLUGIN_BROKEN.value
    name = "plugin-broken"
    summary = "Every rule in the entry-point group videoprep.validators loads."
    why = _WHY
    example = "A plugin that imports a package which is not installed."
    remedy = "Update or uninstall the plugin; the finding names it."


class PluginCollides(ReaderRule):
    """Two rules with one code could not be told apart; the first one is used."""

    code = Code.PLUGIN_COLLIDES.value
    name = "plugin-collides"
    summary = "Every rule has a code and a name of its own."
    why = _WHY
    example = "A plugin whose rule is called VP101, or two plugins with a rule ACME001."
    remedy = "Uninstall one of them, or ask its author for another code."


class RuleFailed(ReaderRule):
    """The rule raised an exception on this sample, or yielded something that is no finding."""

    code = Code.RULE_FAILED.value
    name = "rule-failed"
    summary = "Every rule runs without an exception."
    why = _WHY
    example = "A plugin that divides by the number of words of an empty caption."
    remedy = "Report it to the rule's author; leave the rule out with `ignore`."
